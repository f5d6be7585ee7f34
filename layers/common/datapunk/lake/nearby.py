"""Rows that a place is found in, by an index that row-level security does not let a reader use.

PostgreSQL asks an index only by operators that cannot leak what a policy hides, and PostGIS' are not declared
to be such. So the owner of the tables, whom no policy binds, looks for the keys of the rows, in the caller's
tenant only; the statement of the caller then finds those rows by their keys, and compares once more, under
row-level security. Where very many rows are found there is nothing to gain, and they are all looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from datapunk.lake.geo import finding
from datapunk.lake.partitions import OWNER_ROLE

if TYPE_CHECKING:
    from datapunk.database import Transaction
    from datapunk.lake.datasets import Dataset
    from datapunk.lake.plan import Comparison

MOST_KEYS = 5_000
"""Keys that are looked up; a statement with more would not be faster than one that looks at each row."""


def nearby_keys(tx: Transaction, dataset: Dataset, item: Comparison) -> list[list[str]] | None:
    """Return the keys of the rows that an operator of `operators.FINDING` finds, as texts by column.

    None where they are more than MOST_KEYS, or the owner is at work already, who may use the index.
    """
    if tx.role == OWNER_ROLE:
        return None
    parameters: dict[str, Any] = {}

    def bind(value: Any) -> sql.Placeholder:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return sql.Placeholder(name)

    names = [sql.Identifier(column.name) for column in dataset.row_key()]
    stored = sql.Identifier(item.field.column.name)
    statement = sql.SQL("SELECT ARRAY[{}] AS key FROM {} WHERE {} AND {} LIMIT {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names),
        dataset.table,
        sql.SQL("platform.current_tenant() = {}").format(bind(dataset.tenant)),
        finding(item.operator, item.value, stored, bind),
        sql.Literal(MOST_KEYS + 1),
    )
    with tx.acting_as(OWNER_ROLE):
        rows = tx.all(statement, parameters)
    if len(rows) > MOST_KEYS:
        return None
    return [[row["key"][place] for row in rows] for place in range(len(names))]
