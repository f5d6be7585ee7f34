"""Monthly partitions of tables by event time: made ahead, so that none is missing when rows come.

Beside the months there is a default partition: a row of any time is taken. A month that is made later
takes its rows from there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from psycopg import sql

BEHIND = 12
AHEAD = 12
"""Months before and after the current one that have partitions of their own."""


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
