"""Changes of rows that have encrypted values: each is bound to its row and encrypted for its person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import Column
from datapunk.lake.datasets import Dataset
from datapunk.lake.plan import Select
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.privacy.protecting import protect_rows
from datapunk.lake.sql_parts import Statement, identifier

MOST_ROWS = 1_000
"""Rows whose encrypted values one request may change: each is encrypted by itself."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Encrypted values for rows that are there, with the key of each row."""

    key: list[Column]
    columns: list[Column]
    rows: list[dict[str, Any]]

    @property
    def assignments(self) -> list[sql.Composed]:
        """What an UPDATE sets, from rows called `cells`."""
        names = {column.name for column in self.key}
        return [
            sql.SQL("{0} = cells.{0}").format(identifier(column.name))
            for column in self.columns
            if column.name not in names
        ]

    def conditions(self, table: str) -> sql.Composed:
        """Return the clause that joins them to the rows of a table."""
        return sql.SQL(" WHERE {}").format(
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(
                    identifier(table, column.name), identifier("cells", column.name)
                )
                for column in self.key
            )
        )


def require_whole(
    dataset: Dataset,
    resolution: str | None,
    on_conflict: Sequence[str] | None,
    filled: Sequence[Column],
) -> None:
    """Raise InvalidInputError where merging rows would leave encrypted values of another row or person."""
    encrypted = {column.name for column in dataset.columns if column.encrypted}
    if resolution != "merge-duplicates" or not encrypted:
        return
    named = {column.name for column in map(dataset.column, on_conflict or ()) if column}
    if named and named != set(dataset.key):
        raise _refused(
            "on_conflict", "must be the key, to which encrypted values are bound, where rows merge"
        )
    wanted = {*encrypted, *([dataset.subject] if dataset.subject else [])}
    given = {column.name for column in filled} & wanted
    if dataset.subject and given and given != wanted:
        missing = ", ".join(sorted(wanted - given))
        raise _refused("columns", f"rows that merge must have {missing} too, or none of these")


def require_bound(dataset: Dataset, changes: Mapping[str, Any]) -> None:
    """Raise InvalidInputError where a change moves encrypted values to another row or person."""
    if any(column.encrypted for column in dataset.columns):
        for name in (*dataset.key, dataset.subject):
            if name in changes:
                raise _refused(
                    str(name), "is what encrypted values are bound to: write the row anew"
                )


def cells_of_rows(
    tx: Transaction, dataset: Dataset, select: Select, changes: Mapping[str, Any]
) -> Cells | None:
    """Return the encrypted values of a change for each row it finds, and lock these rows.

    None where nothing encrypted changes. Raises InvalidInputError for more than 1,000 rows.
    """
    changed = [column for column in dataset.columns if column.encrypted and column.name in changes]
    if not changed:
        return None
    made = Statement(Disclosure(tx))
    table = made.new_table()
    key = dataset.row_key()
    subject = dataset.column(dataset.subject or "")
    columns = list({column.name: column for column in (*key, subject) if column}.values())
    found = tx.all(
        sql.SQL("SELECT {} FROM {} AS {}{} LIMIT {} FOR UPDATE").format(
            sql.SQL(", ").join(identifier(table, column.name) for column in columns),
            dataset.table,
            identifier(table),
            made.where(dataset, select.where, table),
            sql.Literal(MOST_ROWS + 1),
        ),
        made.parameters,
    )
    if len(found) > MOST_ROWS:
        raise _refused(
            changed[0].name, f"is encrypted: a request may change it in {MOST_ROWS:,} rows at most"
        )
    values = {column.name: changes[column.name] for column in changed}
    rows = [{**row, **values} for row in found]
    filled, sealed = protect_rows(tx, dataset, [*columns, *changed], rows)
    names = {column.name for column in key}
    kept = [column for column in filled if column.name in names or column.encrypted]
    wanted = {column.name for column in kept}
    return Cells(key, kept, [{name: row[name] for name in row if name in wanted} for row in sealed])


def _refused(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(
        f"Not valid: {field} {message}.", errors=[FieldError(field, message, "protected")]
    )
