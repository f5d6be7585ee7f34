"""Rows on their way into a table: what is declared encrypted leaves here as cells and blind indexes.

Every writer passes one of two doors: `protected_parts` for the text of a COPY, `protect_rows` for
dictionaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import Column, ColumnType, utc_default
from datapunk.lake.datasets import Dataset
from datapunk.lake.parsing import Parsed, Rows
from datapunk.lake.privacy.cells import (
    DataKey,
    JsonText,
    blind,
    blind_column,
    bound_to,
    canonical,
    nonces,
    seal,
    searchable,
)
from datapunk.lake.privacy.data_keys import DataKeys

_FIELD = re.compile(r'("[^"]*(?:""[^"]*)*"|[^",\n]*)[,\n]')


def protected_parts(tx: Transaction, dataset: Dataset, parsed: Parsed) -> Iterator[Parsed]:
    """Yield what may be copied into the dataset's table, each part by a COPY of its own.

    Keys are read between the parts, which a COPY would not let pass. Where nothing is encrypted, the one part
    is what was given, untouched.
    """
    if not any(column.encrypted for column in parsed.columns):
        yield parsed
        return
    sealing = Sealing(tx, dataset)
    columns = sealing.columns(parsed.columns)
    for chunk in parsed.chunks:
        lines = sealed_lines(sealing, parsed.columns, chunk.text)
        yield Parsed(columns, iter([Rows(chunk.count, "\n".join(lines) + "\n")]))


def protect_rows(
    tx: Transaction, dataset: Dataset, columns: Sequence[Column], rows: Sequence[dict[str, Any]]
) -> tuple[list[Column], list[dict[str, Any]]]:
    """Return rows as the table takes them, and the columns of it that they fill.

    Cells are texts that PostgreSQL reads as bytea. Where nothing is encrypted, rows are as they were.
    """
    if not any(column.encrypted for column in columns):
        return list(columns), list(rows)
    sealing = Sealing(tx, dataset)
    given = {column.name: [row.get(column.name) for row in rows] for column in columns}
    given |= sealing.seal(given, len(rows))
    names = list(given)
    filled = [dict(zip(names, values, strict=True)) for values in zip(*given.values(), strict=True)]
    return sealing.columns(columns), filled


class Sealing:
    """Encrypts columns of rows of a dataset within a transaction."""

    def __init__(self, tx: Transaction, dataset: Dataset) -> None:
        self._dataset = dataset
        self._keys = DataKeys(tx)
        self._searchable = {column.name for column in searchable(dataset)}

    def columns(self, filled: Sequence[Column]) -> list[Column]:
        """Return the table's columns for rows that fill these: blind indexes come behind."""
        blinds = [blind_column(column) for column in filled if column.name in self._searchable]
        return [*filled, *blinds]

    def seal(self, given: dict[str, list[Any]], count: int) -> dict[str, list[str | None]]:
        """Return the encrypted columns of `count` rows and their blind indexes, by their names.

        `given` has the values of each column; of the key and the subject, the default stands for what is
        missing. Raises InvalidInputError for rows that nobody is named in where somebody must be.
        """
        dataset = self._dataset
        keys = self._row_keys(given, count)
        data_keys = self._data_keys(given, count)
        sealed: dict[str, list[str | None]] = {}
        for column in dataset.columns:
            if not column.encrypted or column.name not in given:
                continue
            values = given[column.name]
            text = partial(canonical, column, scale=True)
            sealed[column.name] = [
                None
                if value is None
                else _bytea(
                    seal(data_key, text(value).encode(), bound_to(dataset, column, key), nonce)
                )
                for value, key, data_key, nonce in zip(
                    values, keys, data_keys, nonces(count), strict=True
                )
            ]
            if column.name in self._searchable:
                sealed[blind_column(column).name] = self._blinds(column, values)
        return sealed

    def _row_keys(self, given: dict[str, list[Any]], count: int) -> list[tuple[str, ...]]:
        parts = [self._texts(column, given, count) for column in self._dataset.row_key()]
        return list(zip(*parts, strict=True))

    def _data_keys(self, given: dict[str, list[Any]], count: int) -> list[DataKey]:
        subject = self._dataset.column(self._dataset.subject or "")
        if subject is None:
            return [self._keys.of_tenant()] * count
        names = self._texts(subject, given, count)
        if "" in names:
            raise InvalidInputError(
                f"Not valid: {subject.name} names the person a row is about, and must not be empty.",
                errors=[FieldError(subject.name, "must not be empty", "missing")],
            )
        found = self._keys.of_persons(dict.fromkeys(names))
        return [found[name] for name in names]

    def _texts(self, column: Column, given: dict[str, list[Any]], count: int) -> list[str]:
        """Return a column of a row's key; a null is refused by the table later."""
        values = given.get(column.name)
        if values is None:
            values = [utc_default(column)] * count
        return ["" if value is None else canonical(column, value) for value in values]

    def _blinds(self, column: Column, values: Sequence[Any]) -> list[str | None]:
        index_key = self._keys.index_key("search")
        return [
            None
            if value is None
            else _bytea(blind(index_key, self._dataset, column, canonical(column, value)))
            for value in values
        ]


def _bytea(content: bytes) -> str:
    return f"\\x{content.hex()}"


# -- COPY's text -----------------------------------------------------------------------------------


def sealed_lines(sealing: Sealing, columns: Sequence[Column], text: str) -> list[str]:
    """Return lines of COPY's CSV, which end in no line feed, with cells in place of values.

    Of `text` each line ends in a line feed, quotes stand around whole fields, and a field of nothing is null.
    """
    fields = _FIELD.findall(text)
    width = len(columns)
    raw = {column.name: fields[place::width] for place, column in enumerate(columns)}
    count = len(fields) // width
    given: dict[str, list[Any]] = {}
    for column in columns:
        given[column.name] = [_value(field) for field in raw[column.name]]
        if column.type is ColumnType.JSON:
            given[column.name] = [
                None if value is None else JsonText(value) for value in given[column.name]
            ]
    sealed = sealing.seal(given, count)
    lines = {**raw, **{name: [cell or "" for cell in cells] for name, cells in sealed.items()}}
    return list(map(",".join, zip(*lines.values(), strict=True)))


def _value(field: str) -> str | None:
    if field.startswith('"'):
        return field[1:-1].replace('""', '"')
    return field or None
