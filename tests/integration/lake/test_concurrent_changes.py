"""While a definition changes, clients of the first one write on, and every row they wrote is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake import evolution

from tests.support.invoking import Answer, Invoker
from tests.support.samples import PROJECT

pytestmark = pytest.mark.usefixtures("no_broker")
WRITERS = 3
T = {"dataset": "t"}
CHANGES: list[dict[str, Any]] = [
    {"op": "add_column", "column": {"name": "method", "type": "text", "default": "a"}},
    {"op": "rename_column", "column": "ppm", "name": "co2"},
    {"op": "set_checks", "column": "co2", "checks": {"minimum": 0, "maximum": 1000}},
    {"op": "widen_column", "column": "co2", "type": "decimal"},
    {"op": "make_nullable", "column": "co2"},
    {"op": "deprecate_column", "column": "method", "reason": "not needed"},
    {"op": "drop_column", "column": "method"},
    {"op": "set_default", "column": "co2", "default": 1},
    {"op": "rename_column", "column": "co2", "name": "carbon"},
    {"op": "set_checks", "column": "carbon", "checks": None},
]


@pytest.fixture(autouse=True)
def _many_requests(database: str) -> None:
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )


def _create(invoke: Invoker, event_time: str | None) -> None:
    definition = {
        "name": "t",
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "at", "type": "timestamp", "nullable": False},
            {"name": "ppm", "type": "integer", "nullable": False},
        ],
        "key": ["id", "at"],
        "event_time": event_time,
    }
    assert invoke("lake.create_dataset", body=definition).status == 201


def _change(invoke: Invoker, *changes: dict[str, Any], seconds: float = 30) -> Answer:
    body = {"changes": list(changes)}
    return invoke("lake.change_dataset", path=T, body=body, seconds=seconds)


def _start(first: int) -> subprocess.Popen[str]:
    paths = os.pathsep.join(str(PROJECT / part) for part in (".", "layers/common", "functions"))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.lake.writer", str(first)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(writer: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        _, told = writer.communicate("\n", timeout=60)
    finally:
        writer.kill()
    report: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    return report


def _count(invoke: Invoker, **query: str) -> int:
    found = invoke("lake.query_records", path=T, query={"select": "count()", **query})
    return int(found.json["items"][0]["count"])


@pytest.mark.parametrize("event_time", [None, "at"])
def test_no_row_is_lost_while_the_definition_changes(
    database: str, invoke: Invoker, event_time: str | None
) -> None:
    # Given clients that know the first version only
    _create(invoke, event_time)
    writers = [_start(number * 1_000_000) for number in range(WRITERS)]
    done: list[str] = []
    try:
        end = time.monotonic() + 30
        while _count(invoke) == 0 and time.monotonic() < end:
            time.sleep(0.1)
        # When the definition changes again and again
        for change in CHANGES:
            before = _count(invoke)
            for _ in range(5):
                answer = _change(invoke, change)
                if answer.status != 503:
                    break
            assert answer.status == 200, (change, answer.body)
            done.append(change["op"])
            while _count(invoke) == before and time.monotonic() < end:
                time.sleep(0.02)
    finally:
        reports = [_finish(writer) for writer in writers]
    # Then nobody was refused for good, and what was taken is there, once
    assert [report["wrong"] for report in reports] == [""] * WRITERS
    assert len(done) == len(CHANGES)
    assert _count(invoke) == sum(report["taken"] for report in reports) > 0
    for report in reports:
        first, taken = report["first"], report["taken"]
        mine = invoke(
            "lake.query_records",
            path=T,
            query={
                "select": "count(),least:id.min(),most:id.max()",
                "id": [f"gte.{first}", f"lt.{first + 1_000_000}"],
            },
        ).json["items"][0]
        assert mine == {"count": taken, "least": first, "most": first + taken - 1}
    found = invoke("lake.get_dataset", path=T).json
    assert found["version"] == len(CHANGES) + 1
    assert found["columns"][2]["aliases"] == ["co2", "ppm"]


def _table(database: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        row = connection.execute("SELECT table_name FROM lake.datasets").fetchone()
    assert row is not None
    return f"lake_data.{row[0]}"


def test_a_change_that_waits_too_long_gives_way_and_says_so(database: str, invoke: Invoker) -> None:
    # Given somebody who reads for long
    _create(invoke, None)
    with psycopg.connect(database) as reader:
        reader.execute(f"SELECT count(*) FROM {_table(database)}".encode())
        # When
        answer = _change(invoke, {"op": "rename_column", "column": "ppm", "name": "co2"}, seconds=5)
        rows = [{"id": 1, "at": "2026-11-01T00:00:00Z", "ppm": 1}]
        written = invoke("lake.insert_records", path=T, body=rows, content_type="application/json")
    # Then it can be sent again, and has stopped nobody
    assert (answer.status, answer.json["code"]) == (503, "contention")
    assert int(answer.headers["retry-after"]) > 0
    assert written.status == 201
    assert invoke("lake.get_dataset", path=T).json["version"] == 1
    assert _change(invoke, {"op": "rename_column", "column": "ppm", "name": "co2"}).status == 200


def test_two_changes_at_once_become_two_versions(database: str, invoke: Invoker) -> None:
    # Given a change that another overtakes
    _create(invoke, None)
    etag = invoke("lake.get_dataset", path=T).headers["etag"]
    _change(invoke, {"op": "describe_column", "column": "ppm", "description": "first"})
    # When
    body = {"changes": [{"op": "describe_column", "column": "ppm", "description": "second"}]}
    late = invoke("lake.change_dataset", path=T, body=body, headers={"If-Match": etag})
    free = invoke("lake.change_dataset", path=T, body=body)
    # Then
    assert late.status == 412
    assert (free.status, free.json["version"]) == (200, 3)


def test_rows_written_between_the_look_and_the_rule_take_the_rule_back(
    database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a row that comes when nobody looks any more
    _create(invoke, None)
    table = _table(database)
    look = evolution._require_kept

    def look_and_write(*arguments: Any) -> None:
        look(*arguments)
        with psycopg.connect(database) as other:
            other.execute("SET ROLE lake_owner")
            other.execute(f"INSERT INTO {table} VALUES (1, now(), 5)".encode())

    monkeypatch.setattr(evolution, "_require_kept", look_and_write)
    # When
    answer = _change(invoke, {"op": "set_checks", "column": "ppm", "checks": {"maximum": 4}})
    # Then
    assert (answer.status, answer.fields) == (409, {"ppm": "check"})
    found = invoke("lake.get_dataset", path=T).json
    assert (found["version"], found["columns"][2]["checks"]) == (3, None)
    written = [{"id": 2, "at": "2026-11-01T00:00:00Z", "ppm": 9}]
    again = invoke("lake.insert_records", path=T, body=written, content_type="application/json")
    assert again.status == 201
