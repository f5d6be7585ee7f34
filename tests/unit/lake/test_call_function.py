"""lake.call_function: arguments, what is asked of the result, the forms of an answer, and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.rest import READINGS, Rest, filled_database
from tests.support.services import Instance

OBJECT = "application/vnd.pgrst.object+json"


def _parameter(name: str, kind: str, **others: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **others}


FUNCTIONS: dict[str, dict[str, Any]] = {
    "above": {
        "parameters": [
            _parameter("least", "number"),
            _parameter("place", "text", optional=True),
            _parameter("most", "integer", default=3),
        ],
        "query": {
            "select": "id,ppm,station,doc,stations(code)",
            "ppm": "gte.{least}",
            "station": "eq.{place}",
            "order": "ppm.desc",
            "limit": "{most}",
        },
    },
    "these": {
        "parameters": [_parameter("ids", "integer", many=True)],
        "query": {"select": "id", "id": "in.{ids}", "order": "id"},
    },
    "named": {
        "parameters": [_parameter("texts", "text", many=True)],
        "query": {"select": "id", "label": "like(any).{texts}", "order": "id"},
    },
    "either": {
        "parameters": [
            _parameter("low", "integer", optional=True),
            _parameter("label", "text", optional=True),
        ],
        "query": {"select": "id", "or": "(id.lt.{low},not.and(label.neq.{label}))", "order": "id"},
    },
    "inside": {
        "parameters": [
            _parameter("city", "text"),
            _parameter("part", "json", default={}),
            _parameter("span", "integer_range", default="[0,100)"),
            _parameter("day", "date", default="2026-01-01"),
            _parameter("good", "boolean", default=True),
        ],
        "query": {
            "select": "id",
            "doc->>city": "eq.{city}",
            "doc": "cs.{part}",
            "valid": "ov.{span}",
            "day": "gte.{day}",
            "good": "is.{good}",
        },
    },
    "search": {
        "parameters": [_parameter("words", "text")],
        "query": {"select": "id", "label": "fts(english).{words}", "order": "id"},
    },
    "of_station": {
        "parameters": [_parameter("name", "text"), _parameter("rows", "integer", default=1)],
        "query": {
            "select": "id,stations!inner(name)",
            "stations.name": "eq.{name}",
            "limit": "{rows}",
            "order": "id",
        },
    },
    "means": {"query": {"select": "station,mean:ppm.avg(),n:count()", "order": "station"}},
    "best": {
        "parameters": [_parameter("least", "number")],
        "query": {"select": "id,ppm", "ppm": "gte.{least}", "order": "ppm.desc"},
        "returns": "single",
    },
    "highest": {
        "parameters": [_parameter("least", "number", default=0)],
        "query": {"select": "ppm.max()", "ppm": "gte.{least}"},
        "returns": "scalar",
    },
    "doc_of": {
        "parameters": [_parameter("id", "integer")],
        "query": {"select": "doc", "id": "eq.{id}"},
        "returns": "scalar",
    },
}


@pytest.fixture(scope="module")
def filled(instance: Instance) -> Iterator[str]:
    with filled_database(instance) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        for name, definition in FUNCTIONS.items():
            answer = Rest().put_function(name, {"dataset": "readings", **definition})
            assert answer.status == 200, answer.body
        yield url


@pytest.fixture
def rest(filled: str, environment: None, monkeypatch: pytest.MonkeyPatch) -> Rest:
    monkeypatch.setenv("DATABASE_URL", filled)
    return Rest()


def _ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


@pytest.mark.parametrize(
    ("function", "arguments", "query", "items"),
    [
        ("above", {"least": 316.5}, {"select": "id"}, _ids(5, 2, 1)),
        ("above", {"least": 0, "most": 1}, {"select": "id"}, _ids(5)),
        ("above", {"least": 0, "place": "SPO"}, {"select": "id"}, _ids(3)),
        ("above", {"least": 0, "place": None}, {"select": "id"}, _ids(5, 2, 1)),
        ("above", {"least": 0}, {"select": "id", "order": "id", "id": "lt.5"}, _ids(1, 2)),
        ("above", {"least": 0}, {"select": "id", "limit": "1", "offset": "1"}, _ids(2)),
        ("above", {"least": 0}, {"select": "id", "or": "(id.eq.1,ppm.gt.319)"}, _ids(5, 1)),
        ("above", {"least": 0}, {"select": "n:count(),ppm.max()"}, [{"n": 3, "max": 320.0}]),
        (
            "above",
            {"least": 0},
            {"select": "c:doc->>city", "doc->>city": "eq.Kona"},
            [{"c": "Kona"}],
        ),
        (
            "above",
            {"least": 320},
            {},
            [{"id": 5, "ppm": 320.0, "station": None, "doc": READINGS[4]["doc"], "stations": None}],
        ),
        ("these", {"ids": [1, 3]}, {}, _ids(1, 3)),
        ("these", {"ids": []}, {}, []),
        ("named", {"texts": ["calm*", "a,b(c)"]}, {}, _ids(1, 5)),
        ("either", {"low": 2, "label": "Calm"}, {}, _ids(1, 4)),
        ("either", {"label": "Calm"}, {}, _ids(4)),
        ("either", {"low": 3}, {}, _ids(1, 2)),
        ("either", {}, {}, _ids(1, 2, 3, 4, 5)),
        ("inside", {"city": "Hilo"}, {}, _ids(1)),
        ("inside", {"city": "Hilo", "part": {"tags": ["b"]}}, {}, _ids(1)),
        ("inside", {"city": "Hilo", "part": {"tags": ["c"]}}, {}, []),
        ("inside", {"city": "Hilo", "span": "[7,8)"}, {}, []),
        ("inside", {"city": "Hilo", "good": False}, {}, []),
        ("search", {"words": "day & calm"}, {}, _ids(1)),
        ("of_station", {"name": "Mauna Loa"}, {}, [{"id": 1, "stations": {"name": "Mauna Loa"}}]),
        ("of_station", {"name": "Mauna Loa", "rows": 9}, {"select": "id"}, _ids(1, 2)),
        (
            "means",
            {},
            {"n": "gt.1", "mean": "gt.315"},
            [{"station": "MLO", "mean": 317.0, "n": 2}],
        ),
    ],
)
def test_rows_are_found_by_arguments_and_asked_further(
    rest: Rest, function: str, arguments: dict[str, Any], query: dict[str, Any], items: list[Any]
) -> None:
    # Given / When
    answer = rest.rpc(function, arguments, **query)
    # Then
    assert (answer.status, answer.json) == (200, items), answer.body


@pytest.mark.parametrize(
    ("function", "query", "items"),
    [
        ("above", {"least": "316.5", "select": "id"}, _ids(5, 2, 1)),
        ("above", {"least": ["400", "320"], "select": "id"}, _ids(5)),
        ("above", {"least": "0", "select": "id", "id": "in.(1,5)", "order": "id"}, _ids(1, 5)),
        ("these", {"ids": "{1,3}"}, _ids(1, 3)),
        ("named", {"texts": '{"a,b(c)",Calm}'}, _ids(4, 5)),
        ("inside", {"city": "Hilo", "part": '{"n":{"k":1}}', "day": "2026-01-01"}, _ids(1)),
        ("means", {"n": "gt.1", "select": "station"}, [{"station": "MLO"}, {"station": "SPO"}]),
    ],
)
def test_names_of_parameters_are_arguments_and_the_rest_is_about_the_result(
    rest: Rest, function: str, query: dict[str, Any], items: list[Any]
) -> None:
    # Given / When
    got = rest.rpc_get(function, **query)
    head = rest.rpc_get(function, method="HEAD", **query)
    # Then
    assert (got.status, got.json) == (200, items), got.body
    assert (head.status, head.body) == (200, "")
    assert head.headers["content-range"] == got.headers["content-range"]


def test_forms_of_the_answer(rest: Rest) -> None:
    # Given / When
    best = rest.rpc("best", {"least": 0})
    part = rest.rpc("best", {"least": 0}, select="ppm")
    none = rest.rpc("best", {"least": 1000})
    scalar = rest.rpc("highest")
    got = rest.rpc_get("highest", {"Accept": OBJECT}, least="0")
    nothing = rest.rpc("highest", {"least": 1000})
    doc = rest.rpc("doc_of", {"id": 1})
    head = rest.rpc_get("doc_of", method="HEAD", id="1")
    # Then
    assert (best.json, part.json, none.json) == ({"id": 5, "ppm": 320.0}, {"ppm": 320.0}, None)
    assert (scalar.body, got.body, nothing.body) == ("320", "320", "null")
    assert doc.json == READINGS[0]["doc"]
    assert (head.status, head.body) == (200, "")
    assert {a.status for a in (best, part, none, scalar, got, nothing, doc)} == {200}


def test_counts_ranges_one_object_and_csv(rest: Rest) -> None:
    # Given / When
    exact = {"Prefer": "count=exact"}
    counted = rest.rpc("above", {"least": 0}, exact, limit="2")
    ranged = rest.rpc_get("above", {**exact, "Range": "1-1"}, least="0", select="id")
    planned = rest.rpc("above", {"least": 0}, {"Prefer": "count=planned"})
    beyond = rest.rpc("above", {"least": 0}, exact, offset="9")
    one = rest.rpc("above", {"least": 0, "most": 1}, {"Accept": OBJECT}, select="id")
    three = rest.rpc("above", {"least": 0}, {"Accept": OBJECT})
    table = rest.rpc("above", {"least": 0}, {"Accept": "text/csv"}, select="id,stations")
    column = rest.rpc("highest", None, {"Accept": "text/csv"})
    # Then the function's own limit is what there is to count
    assert (counted.status, counted.headers["content-range"]) == (206, "0-1/3")
    assert (ranged.json, ranged.headers["content-range"]) == (_ids(2), "1-1/3")
    assert int(planned.headers["content-range"].partition("/")[2]) >= 0
    assert (beyond.status, beyond.json["code"]) == (416, "PGRST103")
    assert one.json == {"id": 5}
    assert (three.status, three.json["code"]) == (406, "PGRST116")
    assert table.body.splitlines()[:3] == ["id,stations", "5,", '2,"{""code"":""MLO""}"']
    assert column.body == "max\n320\n"


@pytest.mark.parametrize(
    ("function", "arguments", "query", "status", "code"),
    [
        ("nowhere", {}, {}, 404, "PGRST202"),
        ("SELECT 1", {}, {}, 404, "PGRST202"),
        ("above", {}, {}, 404, "PGRST202"),
        ("above", {"least": 0, "other": 1}, {}, 404, "PGRST202"),
        ("above", {"least": "a"}, {}, 400, "22P02"),
        ("above", {"least": "1"}, {}, 400, "22P02"),
        ("above", {"least": None}, {}, 400, "22P02"),
        ("above", {"least": 0, "most": 1.5}, {}, 400, "22P02"),
        ("above", {"least": 0, "most": -1}, {}, 416, "PGRST103"),
        ("above", {"least": 0, "most": 10**30}, {}, 400, "22P02"),
        ("above", {"least": 0, "place": "\x00"}, {}, 400, "22P02"),
        ("above", [1], {}, 400, "PGRST102"),
        ("above", "{", {}, 400, "PGRST102"),
        ("above", '{"least": NaN}', {}, 400, "PGRST102"),
        ("above", {"least": 0}, {"gone": "eq.1"}, 400, "42703"),
        ("above", {"least": 0}, {"good": "is.true"}, 400, "42703"),
        ("above", {"least": 0}, {"select": "stations(name)"}, 400, "PGRST127"),
        ("above", {"least": 0}, {"stations.code": "eq.MLO"}, 400, "PGRST108"),
        ("above", {"least": 0}, {"stations": "cs.{}"}, 400, "PGRST127"),
        ("above", {"least": 0}, {"order": "stations"}, 400, "PGRST127"),
        ("above", {"least": 0}, {"select": "stations->code"}, 400, "PGRST127"),
        ("above", {"least": 0}, {"select": "stations,count()"}, 400, "PGRST127"),
        ("above", {"least": 0}, {"columns": "least"}, 400, "PGRST100"),
        ("above", {"least": 0}, {"id": "eq.x"}, 400, "22P02"),
        ("these", {"ids": 1}, {}, 400, "22P02"),
        ("these", {"ids": [1, None]}, {}, 400, "22P02"),
        ("these", {"ids": list(range(1001))}, {}, 400, "22P02"),
        ("search", {"words": "a &"}, {}, 400, "42601"),
        ("inside", {"city": "x", "span": "[2,1)"}, {}, 400, "22P02"),
        ("inside", {"city": "x", "part": {"a": "\x00"}}, {}, 400, "22P02"),
        ("highest", {}, {"select": "max"}, 400, "PGRST100"),
    ],
)
def test_what_is_refused(
    rest: Rest, function: str, arguments: Any, query: dict[str, Any], status: int, code: str
) -> None:
    # Given / When
    answer = rest.rpc(function, arguments, **query)
    # Then
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert set(answer.json) == {"code", "message", "details", "hint"}


def test_a_call_that_names_other_parameters_is_told_what_there_is(rest: Rest) -> None:
    # Given / When
    wrong = rest.rpc_get("above", lest="5", select="id").json
    missing = rest.rpc_get("above", ppm="gt.1").json
    unknown = rest.rpc("abov", {"b": 1, "a": 2}).json
    number = rest.rpc_get("above", least="x")
    listed = rest.rpc_get("these", ids="1,2")
    # Then
    assert wrong == {
        "code": "PGRST202",
        "message": "Could not find the function above(lest) in the schema cache",
        "details": "Searched for the function above with parameter lest,"
        " but no matches were found in the schema cache.",
        "hint": "Perhaps you meant to call the function above(least, place, most)",
    }
    assert missing["message"] == (
        "Could not find the function above without parameters in the schema cache"
    )
    assert unknown["message"] == "Could not find the function abov(a, b) in the schema cache"
    assert unknown["hint"] == "GET /v1/lake/functions lists the functions there are."
    assert (number.status, number.json["code"]) == (400, "22P02")
    assert (listed.status, listed.json["code"]) == (400, "22P02")


def test_arguments_come_as_json_or_not_at_all(rest: Rest) -> None:
    # Given / When
    empty = rest.rpc("highest", " ")
    form = rest.rpc("highest", "least=0", {"Content-Type": "application/x-www-form-urlencoded"})
    strict = rest.rpc("highest", {}, {"Prefer": "handling=strict,params=single-object"})
    # Then
    assert (empty.status, empty.body) == (200, "320")
    assert (form.status, form.json["code"]) == (415, "PGRST102")
    assert (strict.status, strict.json["code"]) == (400, "PGRST122")
