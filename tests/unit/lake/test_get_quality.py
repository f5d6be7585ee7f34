"""lake.get_quality: how a dataset stands, where its schema drifts, and what it scored before."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.get_quality"
RULES: list[dict[str, Any]] = [
    {"name": "there", "check_type": "completeness", "column": "n"},
    {"name": "small", "check_type": "range", "column": "n", "maximum": 5},
]


def _get(invoke: Invoker, **query: str) -> dict[str, Any]:
    answer = invoke(OPERATION, path={"dataset": "t"}, query=query)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def _put(invoke: Invoker, rules: list[dict[str, Any]]) -> None:
    assert (
        invoke(
            "lake.put_quality_rules", path={"dataset": "t"}, body={"rules": rules}
        ).status
        == 200
    )  # fmt: skip


def test_the_sample_shows_a_dataset_that_is_as_declared(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    found = invoke(OPERATION).json
    # Then
    assert found["dataset"] == "co2_weekly"
    assert (found["rules"], found["scores"]) == ([], [])
    assert found["drift"] == {"table": [], "quarantine": []}
    assert found["history"] == {"items": [], "next_cursor": None}


def test_the_history_is_paged_and_the_newest_score_stands_out(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given three measurements, each of a dataset that got worse
    make_dataset("t", n="integer")
    _put(invoke, RULES)
    for value in (1, 7, 9):
        insert("t", [{"n": value}])
        invoke("lake.check_quality", path={"dataset": "t"})
    # When
    whole = _get(invoke)
    seen, query = [], {"limit": "2"}
    while True:
        page = _get(invoke, **query)["history"]
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    # Then
    newest = {score["check_type"]: score["score"] for score in whole["scores"]}
    assert newest == {"completeness": 1.0, "range": 1 / 3}
    assert seen == [item["id"] for item in whole["history"]["items"]]
    assert len(set(seen)) == 6
    ranges = _get(invoke, check_type="range")["history"]["items"]
    assert [item["score"] for item in ranges] == [1 / 3, 0.5, 1.0]
    assert [item["rows"] for item in ranges] == [3, 2, 1]
    # When a type has no rule any more, its past stays
    _put(invoke, RULES[:1])
    left = _get(invoke)
    # Then
    assert [score["check_type"] for score in left["scores"]] == ["completeness"]
    assert len(left["history"]["items"]) == 6


def test_a_table_that_is_no_longer_as_declared_is_told(
    database: str, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given a table that somebody changed behind the catalogue's back
    make_dataset("t", key=["id"], id="integer", n="integer", gone="text", must="text!")
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT table_name FROM lake.datasets").fetchone()
        assert found is not None
        connection.execute("SET LOCAL ROLE lake_owner")
        for change in (
            "ALTER COLUMN n TYPE text",
            "DROP COLUMN gone",
            "ADD COLUMN extra date",
            "ALTER COLUMN must DROP NOT NULL",
        ):
            table = sql.Identifier("lake_data", found[0])
            connection.execute(sql.SQL("ALTER TABLE {} ").format(table) + sql.SQL(change))
    # When
    drift = _get(invoke)["drift"]["table"]
    # Then
    assert {(item["column"], item["difference"]) for item in drift} == {
        ("gone", "missing"),
        ("n", "type"),
        ("extra", "unknown"),
        ("must", "nullable"),
    }
    stored = {item["column"]: (item["declared"], item["stored"]) for item in drift}
    assert stored["n"] == ("bigint", "text")
    assert stored["extra"] == (None, "date")


def test_every_type_of_column_is_stored_as_declared(
    make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given a column of every type that needs nothing else
    kinds = ["text", "integer", "number", "decimal", "boolean", "date", "timestamp", "uuid", "json"]
    ranges = ["integer_range", "decimal_range", "date_range", "timestamp_range"]
    make_dataset("t", **{f"c_{kind}": kind for kind in [*kinds, *ranges]})
    # When / Then
    assert _get(invoke)["drift"]["table"] == []


def test_what_rows_aside_have_in_common_is_counted(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given rows with a column nobody declared, of another type, and without what is needed
    make_dataset("t", n="integer!", s="text")
    rows: list[dict[str, Any]] = [{"n": 1, "new": 1}, {"n": 2, "new": 2}, {"n": "x"}, {"s": "a"}]
    insert("t", rows, query={"on_error": "quarantine"})
    # When
    shapes = _get(invoke)["drift"]["quarantine"]
    # Then
    assert [(item["field"], item["rule"], item["rows"]) for item in shapes] == [
        ("new", "extra_forbidden", 2),
        ("n", "int_type", 1),
        ("n", "missing", 1),
    ]


def test_another_tenant_finds_none(make_dataset: MakeDataset, invoke: Invoker) -> None:
    # Given
    make_dataset("t", n="integer")
    # When / Then
    assert invoke(OPERATION, path={"dataset": "t"}, tenant="acme").status == 404
    foreign = invoke(OPERATION, path={"dataset": "t"}, query={"cursor": "abc"})
    assert foreign.fields == {"cursor": "cursor"}
