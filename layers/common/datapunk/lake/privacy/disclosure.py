"""Rows on their way out: what each caller is shown of protected columns, and what may be asked about them.

A reader composes statements with a `Disclosure` (`sql_parts.Statement`). A protected column then leaves the
database as a text with a mark that only this request knows, inside whatever document PostgreSQL makes of
the row; `reveal` puts what the caller may see in its place. So it does not matter how deep in a document it
is, and nothing that somebody stored can pass for a mark.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import SQL_TYPES, Column
from datapunk.lake.datasets import Dataset
from datapunk.lake.plan import Comparison, Field
from datapunk.lake.privacy.cells import (
    DataKey,
    as_json,
    blind,
    blind_column,
    bound_name,
    bound_to,
    canonical,
    key_of,
    unseal,
)
from datapunk.lake.privacy.data_keys import DataKeys
from datapunk.lake.privacy.declared import Mask
from datapunk.lake.privacy.masks import masked

if TYPE_CHECKING:
    from datapunk.lake.sql_parts import Statement

_FOUND = ("eq", "in")


@dataclass(frozen=True, slots=True)
class _Slot:
    dataset: Dataset
    column: Column
    mask: Mask


@dataclass(frozen=True, slots=True)
class _Cell:
    slot: _Slot
    content: bytes
    key: tuple[str, ...]


class Disclosure:
    """What the caller of a transaction is shown.

    `sealed` leaves encrypted values encrypted for everybody: for copies that outlive a request.
    """

    def __init__(self, tx: Transaction, *, sealed: bool = False) -> None:
        self.tx = tx
        self._roles = tx.caller.roles
        self._keys = DataKeys(tx)
        self._sealed = sealed
        self._mark = secrets.token_hex(16)
        self._slots: list[_Slot] = []
        pattern = rf"{self._mark}:([0-9]+):([0-9a-f]*):([0-9a-f]*)"
        self._quoted = re.compile(rf'"{pattern}"')
        self._plain = re.compile(pattern)

    def mask(self, column: Column) -> Mask:
        """Return how the caller is shown a column."""
        return Mask.CLEAR if column.masking is None else column.masking.of(self._roles)

    def untouched(self, column: Column) -> bool:
        """Tell whether the caller is shown a column as it is stored."""
        return not column.encrypted and self.mask(column) is Mask.CLEAR

    # -- composing ---------------------------------------------------------------------------------

    def shown(
        self, made: Statement, dataset: Dataset, item: Field, table: str | None
    ) -> sql.Composable | None:
        """Return the expression of a protected column as a result; None for one that is not protected.

        Raises InvalidInputError where more is asked of it than its value.
        """
        column, mask = item.column, self.mask(item.column)
        if self.untouched(column):
            return None
        if item.path or item.cast:
            raise self.refused(column, "is shown as a whole, without casts and paths")
        name = made.column(column.name, table)
        if mask is Mask.FULL:
            return sql.SQL("NULL::{}").format(sql.SQL(SQL_TYPES[column.type]))
        if column.encrypted and self._sealed:
            return sql.SQL("encode({}, 'hex')").format(name)
        self._slots.append(_Slot(dataset, column, mask))
        content, key = sql.SQL("convert_to({}, 'UTF8')").format(name), sql.SQL("''")
        if column.encrypted:
            content = sql.Composed([name])
            parts = [made.column(part.name, table) for part in dataset.row_key()]
            texts = sql.SQL(", ").join(
                sql.SQL("to_json({})#>>'{{}}'").format(part) for part in parts
            )
            form = "encode(convert_to(json_build_array({})::text, 'UTF8'), 'hex')"
            key = sql.SQL(form).format(texts)  # type: ignore[assignment]
        return sql.SQL("({}::text || encode({}, 'hex') || ':' || {})").format(
            made.bind(f"{self._mark}:{len(self._slots) - 1}:"), content, key
        )

    def require_untouched(self, column: Column) -> None:
        """Raise InvalidInputError for a column that is not shown as it is stored."""
        if not self.untouched(column):
            raise self.refused(column, "can be selected, and not be sorted, grouped or counted by")

    def comparison(
        self, made: Statement, dataset: Dataset, item: Comparison, table: str | None
    ) -> sql.Composable | None:
        """Return the condition on a protected column; None for one that is not protected.

        Raises InvalidInputError for what would tell the caller more than it is shown.
        """
        column = item.field.column
        if self.untouched(column):
            return None
        if item.operator == "is" and item.value in ("null", "not_null") and not item.field.path:
            word = sql.SQL("IS NULL" if item.value == "null" else "IS NOT NULL")
            return sql.SQL("{} {}").format(made.column(column.name, table), word)
        if self.mask(column) is not Mask.CLEAR:
            raise self.refused(column, "is masked for you: rows cannot be found by it")
        if not column.searchable:
            raise self.refused(column, "is encrypted and not searchable: only is.null goes with it")
        plain = item.operator in _FOUND and not item.quantifier
        if not plain or item.field.path or item.field.cast:
            raise self.refused(column, "is encrypted: rows are found by it with eq and in only")
        index_key = self._keys.index_key("search")
        values = item.value if item.operator == "in" else [item.value]
        digests = [
            blind(index_key, dataset, column, canonical(column, _unwrapped(value)))
            for value in values
        ]
        return sql.SQL("{} = ANY({}::bytea[])").format(
            made.column(blind_column(column).name, table), made.bind(digests)
        )

    @staticmethod
    def refused(column: Column, message: str) -> InvalidInputError:
        """Return the error of a request that asks too much of a protected column."""
        return InvalidInputError(
            f"Not valid: {column.name} {message}.",
            errors=[FieldError(column.name, message, "protected")],
        )

    # -- revealing ---------------------------------------------------------------------------------

    def reveal(self, documents: Sequence[str]) -> list[str]:
        """Return JSON texts with what the caller is shown in the place of each mark."""
        if not self._slots:
            return list(documents)
        shown = self._shown(match for text in documents for match in self._quoted.finditer(text))
        return [self._quoted.sub(partial(_json, shown), text) for text in documents]

    def reveal_fields(self, rows: Sequence[Sequence[str | None]]) -> list[list[str | None]]:
        """Return rows of texts, as for CSV, with what the caller is shown in the place of each mark."""
        if not self._slots:
            return [list(row) for row in rows]
        fields = [field for row in rows for field in row if field]
        shown = self._shown(match for field in fields for match in self._plain.finditer(field))
        return [[self._field(shown, field) for field in row] for row in rows]

    def _field(self, shown: dict[str, tuple[_Slot, str | None]], field: str | None) -> str | None:
        if not field:
            return field
        match = self._plain.fullmatch(field)
        if match is not None:
            return shown[match[0]][1]
        return self._quoted.sub(partial(_json, shown), field)

    def _shown(self, matches: Any) -> dict[str, tuple[_Slot, str | None]]:
        """Return what is shown for each mark, by its text."""
        cells: dict[str, _Cell] = {}
        for match in matches:
            mark = match[0].strip('"')
            if mark not in cells:
                slot = self._slots[int(match[1])]
                key = tuple(orjson.loads(bytes.fromhex(match[3]))) if match[3] else ()
                cells[mark] = _Cell(slot, bytes.fromhex(match[2]), key)
        ids = {key_of(cell.content) for cell in cells.values() if cell.slot.column.encrypted}
        keys = self._keys.by_id(ids) if ids else {}
        return {mark: (cell.slot, self._text(cell, keys)) for mark, cell in cells.items()}

    def _text(self, cell: _Cell, keys: dict[int, DataKey | None]) -> str | None:
        slot, column = cell.slot, cell.slot.column
        content = cell.content
        if column.encrypted:
            data_key = keys[key_of(content)]
            if data_key is None:
                return None  # the person is erased
            parts = zip(slot.dataset.row_key(), cell.key, strict=True)
            key = [canonical(part, value) for part, value in parts]
            content = unseal(data_key, content, bound_to(slot.dataset, column, key))
        text = content.decode()
        if slot.mask is Mask.CLEAR:
            return text
        place = f"hash {slot.dataset.table_name} {bound_name(column)}"
        hash_key = self._keys.index_key(place) if slot.mask is Mask.HASH else b""
        token_key = self._keys.index_key("tokens") if slot.mask is Mask.TOKENISE else b""
        return masked(slot.mask, text, hash_key, token_key)


def _json(shown: dict[str, tuple[_Slot, str | None]], match: re.Match[str]) -> str:
    slot, text = shown[match[0].strip('"')]
    return "null" if text is None else as_json(slot.column.type, text)


def _unwrapped(value: Any) -> Any:
    """Return what a filter compares with as a value: JSON is bound in an object of the driver's."""
    return getattr(value, "obj", value)
