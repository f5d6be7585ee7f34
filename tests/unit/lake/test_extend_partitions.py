"""lake.extend_partitions: months are there before their rows, and take those that came before them."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from typing import Any

import psycopg
import pytest
from datapunk.context import WorkContext, continue_correlation, continue_trace, working
from datapunk.identity import Caller
from datapunk.lake.partitions import extend_partitions, months_around, next_month
from hypothesis import given
from hypothesis import strategies as st

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Insert

OPERATION = "lake.extend_partitions"
LATER = dt.date(2031, 5, 17)


def _definition(kind: str, key: list[str]) -> dict[str, Any]:
    columns = [{"name": "id", "type": "integer"}, {"name": "at", "type": kind}]
    return {"name": "t", "columns": columns, "key": key, "event_time": "at"}


def _partitions(database: str) -> dict[str, int]:
    """Return how many rows each partition has, by the end of its name."""
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        names = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhparent"
            " WHERE relkind = 'p'"
        ).fetchall()
        return {
            name.rpartition("_")[2]: _count(connection, f"SELECT count(*) FROM {name}")
            for (name,) in names
        }


def _count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_the_sample_finds_nothing_to_do(database: str, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome == {"made": 0, "left": 0, "validated": 0}


@pytest.mark.parametrize("kind", ["date", "timestamp"])
@pytest.mark.parametrize("key", [["id", "at"], []])
def test_a_month_takes_its_rows_from_the_default_partition(
    database: str, insert: Insert, invoke: Invoker, kind: str, key: list[str]
) -> None:
    # Given rows of a year that has no months yet
    assert invoke("lake.create_dataset", body=_definition(kind, key)).status == 201
    end = "" if kind == "date" else "T00:00:00Z"
    days = ["2031-04-30", "2031-05-01", "2031-05-31", "1999-01-01"]
    rows = [{"id": place, "at": f"{day}{end}"} for place, day in enumerate(days)]
    assert insert("t", rows).status == 201
    before = _partitions(database)
    # When
    outcome = _extend(LATER)
    # Then
    after = _partitions(database)
    assert before["default"] == 4
    assert outcome["left"] == 0
    assert outcome["made"] == len(after) - len(before) > 0
    assert (after["203104"], after["203105"], after["default"]) == (1, 2, 1)
    found = invoke("lake.query_records", path={"dataset": "t"}, query={"order": "id"}).json
    assert [row["id"] for row in found["items"]] == [0, 1, 2, 3]
    # and takes new rows, from anybody who may write
    assert insert("t", [{"id": 9, "at": f"2031-05-02{end}"}]).status == 201
    assert _partitions(database)["203105"] == 3
    assert _extend(LATER) == {"made": 0, "left": 0, "validated": 0}


def test_a_month_whose_table_is_in_use_comes_with_the_next_run(
    database: str, insert: Insert, invoke: Invoker
) -> None:
    # Given somebody who holds the default partition
    assert invoke("lake.create_dataset", body=_definition("date", [])).status == 201
    insert("t", [{"id": 1, "at": "2031-05-01"}])
    with psycopg.connect(database) as other:
        other.execute("SET ROLE lake_owner")
        name = other.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 't\\_%\\_default'"
        ).fetchone()
        assert name is not None
        other.execute(f"LOCK TABLE lake_data.{name[0]} IN ROW EXCLUSIVE MODE".encode())
        # When
        held = _extend(dt.date(2031, 5, 1), seconds=8)
    free = _extend(dt.date(2031, 5, 1))
    # Then
    assert held["left"] > 0
    assert free["left"] == 0
    assert _partitions(database)["203105"] == 1


def _extend(day: dt.date, seconds: float = 60) -> dict[str, int]:
    work = WorkContext(
        operation=OPERATION,
        correlation_id=continue_correlation(""),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + seconds,
        caller=Caller(principal=OPERATION),
    )
    with working(work):
        return extend_partitions(day)


@given(st.dates(dt.date(1, 2, 1), dt.date(9998, 1, 1)), st.integers(0, 12), st.integers(0, 12))
def test_months_are_consecutive_calendar_months(day: dt.date, behind: int, ahead: int) -> None:
    # Given / When
    day = max(day, dt.date(2, 2, 1))
    months = months_around(day, behind, ahead)
    # Then
    assert len(months) == behind + ahead + 1
    assert all(month.day == 1 for month in months)
    assert months[behind] == day.replace(day=1)
    assert all(next_month(one) == two for one, two in itertools.pairwise(months))
