"""Monthly partitions of tables by event time: made ahead, so that none is missing when rows come.

Beside the months there is a default partition: a row of any time is taken. A month that is made later
takes its rows from there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import sql

from datapunk.context import remaining_seconds
from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import ConflictError, DatapunkError
from datapunk.telemetry import logger

SCHEMA = "lake_data"
OWNER_ROLE = "lake_owner"
LOCK_TIMEOUT_MS = 1_000
"""How long a change of a table waits for others, who queue up behind it meanwhile."""
_SQL = Path(__file__).with_suffix(".sql")
_RESERVE = 5.0
BEHIND = 12
AHEAD = 12
"""Months before and after the current one that have partitions of their own."""


def bounded_locks(tx: Transaction) -> None:
    """Let no statement of the transaction wait longer than a moment for a lock."""
    tx.execute("SELECT set_config('lock_timeout', %s, true)", (str(LOCK_TIMEOUT_MS),))


def months_around(day: dt.date, behind: int = BEHIND, ahead: int = AHEAD) -> list[dt.date]:
    """Return the first days of the months around that of `day`, earliest first."""
    place = day.year * 12 + day.month - 1
    return [dt.date(*_month(place + step)) for step in range(-behind, ahead + 1)]


def _month(place: int) -> tuple[int, int, int]:
    return place // 12, place % 12 + 1, 1


def next_month(month: dt.date) -> dt.date:
    """Return the first day of the month after `month`."""
    return months_around(month, 0, 1)[1]


def partition_name(table: str, month: dt.date | None) -> str:
    """Return the name of a month's partition, of the default partition for None."""
    return f"{table}_{month:%Y%m}" if month else f"{table}_default"


def bounds(month: dt.date) -> sql.Composed:
    """Return a month's bounds, in UTC, as PostgreSQL takes them for dates and timestamps alike."""
    first, last = (f"{day.isoformat()} 00:00:00+00" for day in (month, next_month(month)))
    return sql.SQL("FROM ({}) TO ({})").format(sql.Literal(first), sql.Literal(last))


def first_partitions(schema: str, table: str, months: Sequence[dt.date]) -> Iterator[sql.Composed]:
    """Yield the statements that make the partitions of a table which has none.

    No policy lets anybody but the owner use a partition by itself; through the table its policy counts.
    """
    parent = sql.Identifier(schema, table)
    for month in (None, *months):
        partition = sql.Identifier(schema, partition_name(table, month))
        values = sql.SQL("FOR VALUES {}").format(bounds(month)) if month else sql.SQL("DEFAULT")
        yield sql.SQL("CREATE TABLE {} PARTITION OF {} {}").format(partition, parent, values)
        yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(partition)


def extend_partitions(today: dt.date) -> dict[str, int]:
    """Give every partitioned table the months around today that it lacks, whoever's it is.

    Returns how many months were made, how many could not be now, and of how many tables rules that waited
    were validated; those that are left come with the next run.
    """
    outcome = {"made": 0, "left": 0, "validated": 0}
    months = {f"{month:%Y%m}": month for month in months_around(today)}
    for row in _look("lacking", {"months": list(months)}):
        made = _tried(row["table_name"], partial(add_month, table=row, month=months[row["month"]]))
        outcome["made" if made else "left"] += 1
    for row in _look("unvalidated", {}):
        outcome["validated"] += _tried(row["table_name"], partial(validate_rule, **row))
    return outcome


def _look(query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    # The catalogue of PostgreSQL itself: what tables there are is no tenant's secret to the platform.
    with transaction() as tx:
        return tx.all(load_queries(_SQL)[query], parameters)


def _tried(table: str, work: Callable[[Transaction], None]) -> bool:
    """Do work on a table as the owner, in a transaction of its own; tell whether it went well."""
    if remaining_seconds() < _RESERVE:
        return False
    try:
        with transaction() as tx:
            bounded_locks(tx)
            with tx.acting_as(OWNER_ROLE):
                work(tx)
    except DatapunkError as error:
        logger().warning("table left as it is", extra={"table": table, "code": error.code})
        return False
    return True


def add_month(tx: Transaction, table: dict[str, Any], month: dt.date) -> None:
    """Make a month's partition, with the rows of the month that the default partition has.

    It is made beside the table and then attached: that waits for nobody who reads or writes other months.
    Raises ConflictError when rows elsewhere refer to such rows: to PostgreSQL moving them is deleting them,
    and those that refer to them would go, too.
    """
    parent, default, own = (
        sql.Identifier(SCHEMA, name)
        for name in (
            table["table_name"],
            partition_name(table["table_name"], None),
            partition_name(table["table_name"], month),
        )
    )
    time = sql.Identifier(table["event_time"])
    first, last = (
        sql.Literal(f"{day.isoformat()} 00:00:00+00") for day in (month, next_month(month))
    )
    kind = sql.SQL(table["kind"])
    tx.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(
            own, parent
        )
    )
    tx.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(own))
    # Nobody writes to the default partition, or refers to rows of it, until the month is attached.
    tx.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(default))
    inside = sql.SQL("ours.{time} >= {first}::{kind} AND ours.{time} < {last}::{kind}").format(
        time=time, first=first, last=last, kind=kind
    )
    if is_referenced(tx, table["table_name"], default, inside):
        raise ConflictError("Rows elsewhere refer to rows of the month.")
    move = (
        "WITH moved AS (DELETE FROM {default} WHERE {time} >= {first}::{kind} AND {time} < {last}::{kind} "
        "RETURNING *) INSERT INTO {own} SELECT * FROM moved"
    )
    tx.execute(
        sql.SQL(move).format(default=default, own=own, time=time, first=first, last=last, kind=kind)
    )
    tx.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES {}").format(
            parent, own, bounds(month)
        )
    )


def is_referenced(
    tx: Transaction,
    table: str,
    partition: sql.Identifier,
    condition: sql.Composable = sql.SQL("true"),  # noqa: B008 -- it never changes
) -> bool:
    """Tell whether rows anywhere refer to rows of a table that are in one of its partitions.

    To be called as the owner. `condition` may be about the rows referred to, which are called `ours`.
    """
    for link in tx.all(load_queries(_SQL)["references"], {"table": table}):
        same = sql.SQL(" AND ").join(
            sql.SQL("theirs.{} = ours.{}").format(sql.Identifier(column), sql.Identifier(name))
            for column, name in zip(link["columns"], link["named"], strict=True)
        )
        question = "SELECT EXISTS (SELECT FROM {} AS theirs JOIN ONLY {} AS ours ON {} WHERE {})"
        source = sql.Identifier(SCHEMA, link["table_name"])
        if tx.value(sql.SQL(question).format(source, partition, same, condition)):
            return True
    return False


def validate_rule(tx: Transaction, table_name: str, name: str) -> None:
    """Let PostgreSQL look whether the rows there were before a rule keep to it, while others go on."""
    statement = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")
    table = sql.Identifier(SCHEMA, table_name)
    tx.execute(statement.format(table, sql.Identifier(name)))
