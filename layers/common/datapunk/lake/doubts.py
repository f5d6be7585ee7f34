"""Staged rows that a table will most likely refuse: what they are exists, or what they refer to does not.

PostgreSQL stops at the first such row and says nothing of the next. One question for each constraint finds
them all, and little is left to be found by trying. A doubt is no refusal: it is settled once all other rows
are stored, since what a row doubles may itself have been refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.datasets import OWNER_ROLE, resolve, target_columns
from datapunk.lake.sifting import Refused

if TYPE_CHECKING:
    from datapunk.database import Transaction
    from datapunk.lake.datasets import Dataset
    from datapunk.lake.definition import Reference

_MARK = sql.SQL("UPDATE {stage} SET _doubt = true WHERE _position IN ({found})")
_TWICE = sql.SQL(
    "SELECT _position FROM (SELECT _position, row_number() OVER (PARTITION BY {names} ORDER BY _position)"
    " AS nth FROM {stage} WHERE ({names}) IS NOT NULL) AS counted WHERE nth > 1"
)
_THERE = sql.SQL("EXISTS (SELECT FROM {table} AS kept WHERE ({kept}) = ({names}))")
_NOWHERE = sql.SQL(
    "({names}) IS NOT NULL AND NOT EXISTS (SELECT FROM {table} AS kept WHERE ({kept}) = ({names}))"
)
_LOOKED_FOR = sql.SQL("SELECT _position FROM {stage} AS staged WHERE {condition}")
_SETTLED = sql.SQL(
    "UPDATE {stage} AS staged SET _doubt = NULL WHERE _doubt AND {condition}"
    " RETURNING _position AS position, _content AS content"
)
_LEFT = sql.SQL("UPDATE {stage} SET _doubt = false WHERE _doubt RETURNING _position AS position")
_DOUBLED = (FieldError("(row)", "exists already", "unique"),)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A condition on staged rows and what is wrong with those of which it is true.

    `twice` finds rows of which it will be true once others are stored.
    """

    condition: sql.Composed
    errors: tuple[FieldError, ...]
    twice: sql.Composed | None = None


class Doubts:
    """What speaks against rows of a stage, a table with the columns `_position`, `_content` and `_doubt`.

    Only what constraints over filled columns say is known. References within a dataset are left out: a row
    may refer to one that is staged. Rows that are settled are doubted for good: their `_doubt` is null.
    """

    def __init__(
        self, tx: Transaction, dataset: Dataset, stage: sql.Identifier, filled: Sequence[str]
    ) -> None:
        self._tx, self._dataset, self._stage = tx, dataset, stage
        unique = [names for names in (dataset.key, *dataset.unique) if names]
        self._doubts = [self._double(names) for names in unique if set(names) <= set(filled)]
        for link in dataset.references:
            if link.dataset != dataset.name:
                self._doubts += self._lost(link, filled)

    def mark(self) -> None:
        """Doubt all rows that anything speaks against."""
        parts: list[sql.Composable] = []
        for doubt in self._doubts:
            parts.append(_LOOKED_FOR.format(stage=self._stage, condition=doubt.condition))
            if doubt.twice is not None:
                parts.append(doubt.twice)
        if parts:
            found = sql.SQL(" UNION ").join(parts)
            with self._tx.acting_as(OWNER_ROLE):
                self._tx.execute(_MARK.format(stage=self._stage, found=found))

    def settle(self) -> list[Refused]:
        """Return the doubted rows against which the same still speaks, now that all others are stored."""
        refused = []
        for doubt in self._doubts:
            with self._tx.acting_as(OWNER_ROLE):
                rows = self._tx.all(_SETTLED.format(stage=self._stage, condition=doubt.condition))
            refused += [Refused(row["position"], row["content"], doubt.errors) for row in rows]
        return refused

    def left(self) -> list[int]:
        """Return the positions of the rows that are still doubted, in their order; they no longer are."""
        with self._tx.acting_as(OWNER_ROLE):
            rows = self._tx.all(_LEFT.format(stage=self._stage))
        return sorted(row["position"] for row in rows)

    def _double(self, names: Sequence[str]) -> _Doubt:
        condition = _THERE.format(
            table=self._dataset.table, kept=_listed(names, "kept"), names=_listed(names, "staged")
        )
        twice = _TWICE.format(stage=self._stage, names=_listed(names))
        return _Doubt(condition, _DOUBLED, twice)

    def _lost(self, link: Reference, filled: Sequence[str]) -> list[_Doubt]:
        if not set(link.columns) <= set(filled):
            return []
        try:
            target = resolve(self._tx, self._dataset, link)
        except InvalidInputError:  # nobody can say more of it than the table
            return []
        condition = _NOWHERE.format(
            table=target.table,
            kept=_listed(target_columns(link, target), "kept"),
            names=_listed(link.columns, "staged"),
        )
        return [_Doubt(condition, lost_reference(link))]


def lost_reference(link: Reference) -> tuple[FieldError, ...]:
    """Return what is wrong with a row that refers to none."""
    message = f"a value names no row of {link.dataset}"
    return tuple(FieldError(column, message, "reference") for column in link.columns)


def _listed(names: Sequence[str], table: str | None = None) -> sql.Composed:
    place = [] if table is None else [table]
    return sql.SQL(", ").join(sql.Identifier(*place, name) for name in names)
