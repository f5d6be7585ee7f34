"""lake.change_dataset: one new version with all changes, or a problem and nothing."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.invoking import Answer, Invoker
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.change_dataset"
T = {"dataset": "t"}


@pytest.fixture
def change(no_broker: None, invoke: Invoker) -> Any:
    """Return `change(*changes, **members)` of the dataset `t`."""

    def send(
        *changes: dict[str, Any], headers: dict[str, str] | None = None, **more: Any
    ) -> Answer:
        body = {"changes": list(changes), **more}
        return invoke(OPERATION, path=T, body=body, headers=headers)

    return send


def _rows(invoke: Invoker, headers: dict[str, str] | None = None, **query: str) -> Any:
    answer = invoke("lake.query_records", path=T, query=query, headers=headers)
    assert answer.status == 200, answer.body
    return answer.json["items"]


def _add(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"op": "add_column", "column": {"name": name, "type": kind, **more}}


def test_the_sample_makes_a_version_and_tells_of_it(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    created = invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["version"]) == (200, 2)
    assert answer.headers["etag"] not in ("", created.headers["etag"])
    names = [column["name"] for column in answer.json["columns"]]
    assert "co2_ppm" in names
    assert "method" in names
    assert answer.json == invoke("lake.get_dataset").json
    with psycopg.connect(database) as connection:
        ((body,),) = connection.execute("SELECT body FROM platform.outbox").fetchall()
    event = json.loads(body)
    assert (event["type"], event["subject"]) == ("lake.dataset.changed", "co2_weekly")
    assert event["data"]["changes"] == [
        {"op": "add_column", "column": "method"},
        {"op": "rename_column", "column": "ppm"},
    ]


def test_rows_get_the_default_of_a_new_column(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", id="integer!")
    insert("t", [{"id": 1}])
    # When
    made = change(_add("kind", "text", nullable=False, default="a", checks={"enum": ["a", "b"]}))
    # Then
    assert made.status == 200, made.body
    assert insert("t", [{"id": 2}, {"id": 3, "kind": "b"}]).status == 201
    assert insert("t", [{"id": 4, "kind": "c"}]).fields == {"records.0.kind": "check"}
    found = _rows(invoke, order="id")
    assert [row["kind"] for row in found] == ["a", "a", "b"]


def test_a_renamed_column_goes_by_both_names(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer", ppm="number")
    insert("t", [{"id": 1, "ppm": 1.5}])
    # When
    assert change({"op": "rename_column", "column": "ppm", "name": "co2"}).status == 200
    assert insert("t", [{"id": 2, "ppm": 2.5}, {"id": 3, "co2": 3.5}]).status == 201
    assert insert("t", "id,ppm\n4,4.5\n", "text/csv").status == 201
    # Then old clients write, filter, select and sort as before
    assert _rows(invoke, ppm="gt.2", select="id,ppm", order="ppm.desc", limit="2") == [
        {"id": 4, "ppm": 4.5},
        {"id": 3, "ppm": 3.5},
    ]
    assert _rows(invoke, id="eq.1") == [{"id": 1, "co2": 1.5}]
    assert _rows(invoke, headers={"Dataset-Version": "1"}, id="eq.1") == [{"id": 1, "ppm": 1.5}]
    # and both names at once are one too many
    assert insert("t", [{"id": 5, "ppm": 1, "co2": 1}]).status == 422


def test_a_name_that_comes_back_is_no_alias_any_more(
    make_dataset: MakeDataset, change: Any
) -> None:
    # Given
    make_dataset("t", a="text")
    change({"op": "rename_column", "column": "a", "name": "b"})
    # When
    answer = change({"op": "rename_column", "column": "b", "name": "a"})
    # Then
    (column,) = answer.json["columns"]
    assert (column["name"], column["aliases"]) == ("a", ["b"])


@pytest.mark.parametrize(
    ("types", "value", "expected"),
    [
        ("integer decimal", 2**62 + 1, 2**62 + 1),
        ("integer number", 2**53, float(2**53)),
        ("integer text", 5, "5"),
        ("number decimal", 0.1, 0.1),
        ("number text", 1.5, "1.5"),
        ("decimal text", "1.50", "1.50"),
        ("boolean text", True, "true"),
        ("date timestamp", "2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("date text", "2026-11-01", "2026-11-01"),
    ],
)
def test_a_wider_type_keeps_every_value(
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    change: Any,
    types: str,
    value: Any,
    expected: Any,
) -> None:
    # Given
    old, new = types.split()
    make_dataset("t", v=old)
    assert insert("t", [{"v": value}, {"v": None}]).status == 201
    # When
    answer = change({"op": "widen_column", "column": "v", "type": new}, compatibility="none")
    # Then
    assert answer.status == 200, answer.body
    assert [row["v"] for row in _rows(invoke)] == [expected, None]


def test_rules_and_defaults_are_widened_too(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", id="integer!")
    change(_add("n", "integer", default=5, checks={"minimum": 1, "enum": [1, 5, 7]}))
    # When
    answer = change({"op": "widen_column", "column": "n", "type": "decimal"})
    # Then
    assert answer.status == 200, answer.body
    assert insert("t", [{"id": 1}]).status == 201
    assert insert("t", [{"id": 1, "n": "1.5"}]).fields == {"records.0.n": "check"}
    assert _rows(invoke) == [{"id": 1, "n": 5}]


def test_an_integer_that_a_number_would_round_stays(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", v="integer")
    insert("t", [{"v": 2**53 + 1}])
    # When
    answer = change({"op": "widen_column", "column": "v", "type": "number"})
    # Then
    assert (answer.status, answer.fields) == (409, {"v": "lossy"})
    assert _rows(invoke) == [{"v": 2**53 + 1}]


def test_a_column_is_dropped_once_it_was_deprecated(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", a="text", b="text")
    insert("t", [{"a": "x", "b": "y"}])
    drop = {"op": "drop_column", "column": "b"}
    # When
    early = change(drop)
    told = change({"op": "deprecate_column", "column": "b", "reason": "use a"})
    late = change(drop)
    # Then
    assert (early.status, early.fields) == (409, {"changes.0.column": "conflict"})
    assert told.json["columns"][1]["deprecated"] == "use a"
    assert late.status == 200
    assert _rows(invoke) == [{"a": "x"}]
    assert [row["version"] for row in invoke("lake.list_versions", path=T).json["items"]] == [
        3,
        2,
        1,
    ]


def test_rules_that_rows_break_are_refused_and_leave_nothing(
    database: str, make_dataset: MakeDataset, insert: Insert, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", v="integer")
    insert("t", [{"v": 5}])
    wanted = {"op": "set_checks", "column": "v", "checks": {"maximum": 4}}
    # When
    answer = change(wanted)
    # Then
    assert (answer.status, answer.fields) == (409, {"v": "check"})
    assert invoke("lake.get_dataset", path=T).json["version"] == 1
    assert insert("t", [{"v": 9}]).status == 201


def test_rules_are_set_validated_and_taken_back(
    database: str, make_dataset: MakeDataset, insert: Insert, change: Any
) -> None:
    # Given
    make_dataset("t", v="integer")
    insert("t", [{"v": 3}])
    # When
    assert change({"op": "set_checks", "column": "v", "checks": {"maximum": 4}}).status == 200
    refused = insert("t", [{"v": 5}])
    with psycopg.connect(database) as connection:
        rules = connection.execute(
            "SELECT convalidated FROM pg_constraint WHERE conname LIKE 'ck_v_%'"
        ).fetchall()
    assert change({"op": "set_checks", "column": "v", "checks": None}).status == 200
    # Then
    assert rules == [(True,)]
    assert refused.fields == {"records.0.v": "check"}
    assert insert("t", [{"v": 5}]).status == 201


@pytest.mark.parametrize(
    ("mode", "wanted", "problem"),
    [
        ("backward", {"op": "widen_column", "column": "n", "type": "text"}, "n"),
        ("forward", {"op": "widen_column", "column": "n", "type": "decimal"}, "n"),
        ("forward", {"op": "rename_column", "column": "n", "name": "m"}, "n"),
        ("full", {"op": "make_nullable", "column": "id"}, "id"),
    ],
)
def test_what_clients_do_not_bear_is_refused(
    make_dataset: MakeDataset, change: Any, mode: str, wanted: dict[str, Any], problem: str
) -> None:
    # Given
    make_dataset("t", id="integer!", n="integer")
    # When
    refused = change(wanted, compatibility=mode)
    taken = change(wanted, compatibility="none")
    # Then
    assert (refused.status, refused.fields) == (409, {problem: "incompatible"})
    assert taken.status == 200, taken.body


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"op": "rename_column", "column": "nothing", "name": "b"}, 422),
        ({"op": "rename_column", "column": "id", "name": "n"}, 409),
        ({"op": "rename_column", "column": "id", "name": "select"}, 422),
        ({"op": "widen_column", "column": "n", "type": "integer"}, 422),
        ({"op": "widen_column", "column": "n", "type": "boolean"}, 422),
        ({"op": "make_nullable", "column": "id"}, 409),
        ({"op": "set_default", "column": "n", "default": "x"}, 422),
        ({"op": "set_checks", "column": "n", "checks": {"pattern": "x"}}, 422),
        (_add("n", "text"), 409),
        (_add("m", "text", nullable=False), 422),
    ],
)
def test_what_makes_no_sense_names_the_change(
    make_dataset: MakeDataset, change: Any, wanted: dict[str, Any], status: int
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer", n="integer")
    # When
    answer = change({"op": "describe_column", "column": "n", "description": "x"}, wanted)
    # Then
    assert (answer.status, list(answer.fields)) == (status, ["changes.1.column"]), answer.body


def test_what_another_dataset_refers_to_stays(
    make_dataset: MakeDataset, invoke: Invoker, change: Any
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer")
    columns = [{"name": "t_id", "type": "integer"}]
    links = [{"columns": ["t_id"], "dataset": "t"}]
    child = {"name": "child", "columns": columns, "references": links}
    assert invoke("lake.create_dataset", body=child).status == 201
    # When
    widened = change({"op": "widen_column", "column": "id", "type": "decimal"})
    renamed = change({"op": "rename_column", "column": "id", "name": "number"})
    # Then a reference to the key goes with the key
    assert (widened.status, widened.fields) == (409, {"id": "referenced"})
    assert (renamed.status, renamed.json["key"]) == (200, ["number"])


def test_only_the_state_that_was_read_is_changed(make_dataset: MakeDataset, change: Any) -> None:
    # Given
    make_dataset("t", a="text")
    first = change(description="one")
    # When
    stale = change(description="two", headers={"If-Match": '"1-0"'})
    fresh = change(description="two", headers={"If-Match": first.headers["etag"]})
    # Then
    assert (stale.status, fresh.status, fresh.json["description"]) == (412, 200, "two")


def test_another_tenants_dataset_does_not_exist(
    make_dataset: MakeDataset, invoke: Invoker, no_broker: None
) -> None:
    # Given
    make_dataset("t", a="text")
    # When
    answer = invoke(OPERATION, path=T, body={"description": "mine"}, tenant="acme")
    # Then
    assert (answer.status, answer.fields) == (404, {"dataset": "not_found"})
