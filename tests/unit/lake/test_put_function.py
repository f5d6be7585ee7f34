"""lake.put_function: a function that makes no sense is refused, and says why; it is never SQL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Answer, Invoker
from tests.unit.lake.conftest import MakeDataset

OPERATION = "lake.put_function"
ONE = {"name": "p", "type": "integer"}


def _put(invoke: Invoker, name: str = "f", **definition: Any) -> Answer:
    return invoke(OPERATION, path={"function": name}, body={"dataset": "t", **definition})


def test_the_sample_is_registered_and_replaced(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    first = invoke(OPERATION)
    again = invoke(OPERATION, body={"dataset": "co2_weekly", "query": {"select": "week"}})
    # Then
    assert first.status == 200, first.body
    assert first.json["query"]["ppm"] == "gte.{least}"
    assert [item["name"] for item in first.json["parameters"]] == ["least", "since", "most"]
    assert again.json["created_at"] == first.json["created_at"]
    assert again.json["updated_at"] > first.json["updated_at"]
    assert invoke("lake.get_function").json == again.json
    assert again.json["parameters"] == []


@pytest.mark.parametrize(
    ("parameter", "query", "code", "message"),
    [
        (ONE, {"gone": "eq.{p}"}, "42703", "column t.gone does not exist"),
        (ONE, {"s": "eq.{p}"}, "42804", "parameter p is integer, and it is compared with text"),
        ({**ONE, "type": "text"}, {"n": "eq.{p}"}, "42804", "p is text"),
        ({**ONE, "type": "decimal"}, {"n": "eq.{p}"}, "42804", "p is decimal"),
        (
            {**ONE, "many": True},
            {"n": "eq.{p}"},
            "42804",
            "a list of integer, and eq takes one value",
        ),
        (ONE, {"n": "in.{p}"}, "42804", "in takes a list of values"),
        (ONE, {"n": "eq(any).{p}"}, "42804", "eq takes a list of values"),
        (ONE, {"n": "is.{p}"}, "42804", "is takes a boolean"),
        ({**ONE, "type": "text"}, {"limit": "{p}"}, "42804", "must be an integer, for limit"),
        ({**ONE, "many": True}, {"offset": "{p}"}, "42804", "must be an integer, for offset"),
        (ONE, {"n": "eq.{q}"}, "42P02", "there is no parameter q"),
        (ONE, {"or": "(n.eq.1,n.gt.{q})"}, "42P02", "there is no parameter q"),
        (ONE, {"limit": "{q}"}, "42P02", "there is no parameter q"),
        (ONE, {"n": "eq.1"}, "42P02", "no condition uses the parameter p"),
        (ONE, {"n": "eq.1{p}"}, "22P02", "invalid value for n"),
        (ONE, {"n": "{p}"}, "PGRST100", "failed to parse filter"),
        (ONE, {"n": "eq.{p}", "select": "{p}"}, "PGRST100", "failed to parse select"),
        (ONE, {"n": "eq.{p}", "order": "{p}"}, "PGRST100", "failed to parse order"),
        (ONE, {"{p}": "eq.1"}, "PGRST100", "failed to parse filter"),
        (ONE, {"n": "{p}.1"}, "PGRST100", "failed to parse filter"),
        (ONE, {"or": "{p}"}, "PGRST100", "failed to parse logic tree"),
        (ONE, {"n": "eq.{p}", "select": "nowhere(*)"}, "PGRST200", "Could not find a relationship"),
        (ONE, {"n": "eq.{p}", "x.limit": "1"}, "PGRST108", "is not an embedded resource"),
        (ONE, {"n": "eq.{p}", "limit": "-1"}, "PGRST103", "range not satisfiable"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(
    make_dataset: MakeDataset,
    invoke: Invoker,
    parameter: dict[str, Any],
    query: dict[str, str],
    code: str,
    message: str,
) -> None:
    # Given
    make_dataset("t", n="integer", s="text")
    # When
    answer = _put(invoke, parameters=[parameter], query=query)
    # Then
    assert (answer.status, answer.fields) == (422, {"query": code}), answer.body
    assert message in answer.json["detail"]
    assert invoke("lake.get_function", path={"function": "f"}).status == 404


@pytest.mark.parametrize(
    "definition",
    [
        {"parameters": [{"name": "select", "type": "text"}], "query": {"s": "eq.{select}"}},
        {"parameters": [ONE, ONE], "query": {"n": "eq.{p}"}},
        {"parameters": [{**ONE, "default": "a"}], "query": {"n": "eq.{p}"}},
        {"parameters": [{**ONE, "default": 1, "many": True}], "query": {"n": "in.{p}"}},
        {"parameters": [{**ONE, "default": 1, "optional": True}], "query": {"n": "eq.{p}"}},
        {"parameters": [{**ONE, "type": "vector"}], "query": {"n": "eq.{p}"}},
        {"parameters": [{**ONE, "name": "p; DROP TABLE t"}]},
        {"query": {"columns": "n"}},
        {"query": {"on_conflict": "n"}},
        {"query": {"n": "eq.\x00"}},
        {"query": "SELECT 1"},
        {"sql": "SELECT 1"},
        {"dataset": "t; DROP TABLE t"},
        {"returns": "void"},
    ],
)
def test_a_definition_that_is_none_is_refused(
    make_dataset: MakeDataset, invoke: Invoker, definition: dict[str, Any]
) -> None:
    # Given
    make_dataset("t", n="integer", s="text")
    # When / Then
    assert _put(invoke, **definition).status == 422


def test_a_scalar_is_one_value_of_a_dataset_there_is(
    make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", n="integer", s="text")
    # When
    two = _put(invoke, query={"select": "n,s"}, returns="scalar")
    one = _put(invoke, query={"select": "n.sum()"}, returns="scalar")
    gone = _put(invoke, dataset="gone")
    name = _put(invoke, "DROP TABLE")
    # Then
    assert (two.status, two.fields) == (422, {"query": "42P13"})
    assert one.status == 200, one.body
    assert (gone.status, name.status) == (404, 422)


def test_each_type_goes_with_those_that_hold_its_values(
    make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    kinds = ["text", "integer", "number", "decimal", "boolean", "date", "timestamp", "uuid", "json"]
    kinds += ["integer_range", "date_range", "decimal_range", "timestamp_range"]
    make_dataset("t", **{f"c_{kind}": kind for kind in kinds})
    # When
    fitting = {
        (given, kind)
        for given in kinds
        for kind in kinds
        if _put(
            invoke, parameters=[{"name": "p", "type": given}], query={f"c_{kind}": "neq.{p}"}
        ).status
        == 200
    }
    # Then
    wider = {("integer", "number"), ("integer", "decimal"), ("number", "decimal")}
    wider |= {("decimal", "number"), ("date", "timestamp")}
    assert fitting == {(kind, kind) for kind in kinds} | wider
