"""lake.query_records: filtered, ordered, aggregated, paged; in three formats; and nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import forget_connections
from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Answer, Invoker
from tests.support.services import Instance
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.query_records"
ROWS: list[dict[str, Any]] = [
    {"id": 1, "label": "a", "ppm": 1.5, "day": "2026-01-01", "good": True},
    {"id": 2, "label": "b", "ppm": 2.5, "day": "2026-01-02", "good": False},
    {"id": 3, "label": "a", "ppm": None, "day": "2026-02-01", "good": None},
    {"id": 4, "label": None, "ppm": -1.0, "day": None, "good": True},
]


@pytest.fixture(scope="module")
def four_rows(instance: Instance) -> Iterator[str]:
    """Return a database with a dataset of four rows, which the tests only read."""
    url = instance.borrow_database()
    columns = {"id": "integer", "label": "text", "ppm": "number", "day": "date", "good": "boolean"}
    definition = {
        "name": "t",
        "columns": [{"name": name, "type": kind} for name, kind in columns.items()],
        "key": ["id"],
    }
    forget_connections()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F")
        invoke = Invoker()
        assert invoke("lake.create_dataset", body=definition).status == 201
        path = {"dataset": "t"}
        records: dict[str, Any] = {"body": ROWS, "content_type": "application/json"}
        assert invoke("lake.insert_records", path=path, **records).status == 201
    yield url
    forget_connections()
    instance.give_back_database(url)


@pytest.fixture
def query(
    four_rows: str, environment: None, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> Any:
    """Return `query(order="id", ...)` over four rows."""
    monkeypatch.setenv("DATABASE_URL", four_rows)

    def ask(accept: str = "application/json", **parameters: Any) -> Answer:
        headers = {"Accept": accept}
        return invoke(OPERATION, path={"dataset": "t"}, query=parameters, headers=headers)

    return ask


def _ids(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["items"]]


def test_the_sample_is_answered(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    invoke("lake.insert_records")
    # When
    answer = invoke(OPERATION)
    # Then
    (item,) = answer.json["items"]
    assert item["year"] == 1958
    assert item["mean"] == pytest.approx(316.7)


@pytest.mark.parametrize(
    ("parameters", "ids"),
    [
        ({}, [1, 2, 3, 4]),
        ({"id": "eq.2"}, [2]),
        ({"id": "neq.2"}, [1, 3, 4]),
        ({"id": ["gt.1", "lte.3"]}, [2, 3]),
        ({"id": "in.(1,4,9)"}, [1, 4]),
        ({"id": "in.()"}, []),
        ({"label": "eq.a", "ppm": "gte.1.5"}, [1]),
        ({"label": "is.null"}, [4]),
        ({"label": "is.not_null"}, [1, 2, 3]),
        ({"label": "in.(a)"}, [1, 3]),
        ({"good": "is.true"}, [1, 4]),
        ({"good": "is.false"}, [2]),
        ({"good": "eq.false"}, [2]),
        ({"ppm": "lt.0"}, [4]),
        ({"day": "gte.2026-01-02"}, [2, 3]),
        ({"order": "id.desc"}, [4, 3, 2, 1]),
        ({"order": "label,id.desc"}, [3, 1, 2, 4]),
        ({"order": "label.desc"}, [4, 2, 1, 3]),
        ({"order": "ppm"}, [4, 1, 2, 3]),
        ({"limit": "2"}, [1, 2]),
        ({"select": "id"}, [1, 2, 3, 4]),
        ({"select": "id:id,l:label", "order": "label.desc"}, [4, 2, 1, 3]),
    ],
)
def test_what_is_asked_is_answered(query: Any, parameters: Any, ids: list[int]) -> None:
    # Given / When / Then
    assert _ids(query(**parameters)) == ids


def test_a_row_has_its_columns_in_order(query: Any) -> None:
    # Given / When
    items = query(order="id").json["items"]
    # Then
    assert items == ROWS
    assert list(items[0]) == list(ROWS[0])


@pytest.mark.parametrize(
    ("parameters", "items"),
    [
        ({"select": "count()"}, [{"count": 4}]),
        ({"select": "count(),ppm.count()"}, None),
        ({"select": "n:ppm.count()"}, [{"n": 3}]),
        ({"select": "ppm.sum()"}, [{"sum": 3.0}]),
        (
            {"select": "label,n:count()"},
            [
                {"label": "a", "n": 2},
                {"label": "b", "n": 1},
                {"label": None, "n": 1},
            ],
        ),
        (
            {"select": "label,n:count()", "order": "n.desc,label.desc", "limit": "2"},
            [
                {"label": "a", "n": 2},
                {"label": None, "n": 1},
            ],
        ),
        ({"select": "day.min(),last:day.max()"}, [{"min": "2026-01-01", "last": "2026-02-01"}]),
        ({"select": "count()", "id": "gt.99"}, [{"count": 0}]),
        ({"select": "label,n:count()", "id": "gt.99"}, []),
        ({"select": "label.max()", "id": "gt.99"}, [{"max": None}]),
    ],
)
def test_aggregates(query: Any, parameters: Any, items: list[Any] | None) -> None:
    # Given / When
    answer = query(**parameters)
    # Then
    if items is None:
        assert (answer.status, answer.fields) == (422, {"select": "duplicate"})
    else:
        assert answer.json["items"] == items


def test_ndjson(query: Any) -> None:
    # Given / When
    answer = query("application/x-ndjson", order="id")
    # Then
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.body.splitlines()] == ROWS


def test_csv(query: Any) -> None:
    # Given / When
    answer = query("text/csv", order="id", select="id,label,ppm")
    # Then
    assert answer.headers["content-type"] == "text/csv"
    rows = list(csv.reader(io.StringIO(answer.body)))
    assert rows == [
        ["id", "label", "ppm"],
        ["1", "a", "1.5"],
        ["2", "b", "2.5"],
        ["3", "a", ""],
        ["4", "", "-1"],
    ]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_the_next_page_is_linked(query: Any, accept: str) -> None:
    # Given
    first = query(accept, limit="2", order="id", id="gt.1")
    # When
    link, relation = first.headers["link"].split("; ")
    parameters = parse_qs(urlsplit(link.strip("<>")).query)
    second = query(accept, **parameters)
    # Then
    assert relation == 'rel="next"'
    assert parameters["id"] == ["gt.1"]
    assert parameters["cursor"] == [first.headers["x-next-cursor"]]
    assert "link" not in second.headers
    assert "4" in second.body


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"nothing": "eq.1"}, "nothing"),
        ({"id": "eq.x"}, "id"),
        ({"id": "1"}, "id"),
        ({"day": "eq.2026-02-30"}, "day"),
        ({"good": "eq.perhaps"}, "good"),
        ({"select": "nothing"}, "select"),
        ({"select": "label.avg()"}, "select"),
        ({"order": "nothing"}, "order"),
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_what_is_wrong_is_named(query: Any, parameters: Any, field: str) -> None:
    # Given / When
    answer = query(**parameters)
    # Then
    assert answer.status == 422
    assert field in answer.fields


def test_a_cursor_is_good_for_its_query_only(query: Any) -> None:
    # Given
    cursor = query(limit="1", order="id").json["next_cursor"]
    # When
    answers = [
        query(limit="1", order="id.desc", cursor=cursor),
        query(limit="1", order="label", cursor=cursor),
        query(limit="1", order="id", select="id", cursor=cursor),
    ]
    # Then
    assert [(answer.status, answer.fields) for answer in answers] == [
        (422, {"cursor": "cursor"})
    ] * 3


@pytest.mark.parametrize("order", ["amount", "amount.desc"])
def test_pages_over_amounts_no_float_can_hold(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, order: str
) -> None:
    # Given neighbours that become one number when written as floating point
    amounts = [f"99999999999999999999.{digit}" for digit in range(5)]
    make_dataset("t", amount="decimal")
    insert("t", [{"amount": amount} for amount in amounts])
    found: list[str] = []
    cursor = ""
    # When
    for _ in amounts:
        query = {"order": order, "limit": "1", **({"cursor": cursor} if cursor else {})}
        answer = invoke(OPERATION, path={"dataset": "t"}, query=query)
        found.append(answer.body.partition('"amount":')[2].partition("}")[0])
        cursor = answer.json["next_cursor"]
    # Then
    assert found == sorted(amounts, reverse=order.endswith("desc"))
    assert cursor is None


def test_pages_over_sums_beyond_64_bits(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", label="text", n="integer")
    insert("t", [{"label": label, "n": 2**63 - 1} for label in "aabbb"])
    query = {"select": "label,total:n.sum()", "order": "total.desc", "limit": "1"}
    # When
    first = invoke(OPERATION, path={"dataset": "t"}, query=query).json
    cursor = {"cursor": first["next_cursor"]}
    second = invoke(OPERATION, path={"dataset": "t"}, query={**query, **cursor}).json
    # Then
    assert first["items"] == [{"label": "b", "total": 3 * (2**63 - 1)}]
    assert second == {"items": [{"label": "a", "total": 2 * (2**63 - 1)}], "next_cursor": None}


def test_sql_anywhere_stays_text(query: Any, invoke: Invoker) -> None:
    for text in METACHARACTERS:
        # Given
        attempts: list[dict[str, Any]] = [
            {"select": text},
            {"select": f"x:{text}"},
            {"select": f"id.{text}()"},
            {"order": text},
            {"order": f"id.{text}"},
            {"limit": text},
            {"cursor": text},
            {text: "eq.1"},
            {"id": text},
            {"id": f"eq.{text}"},
            {"id": f"in.({text})"},
            {"day": f"gte.{text}"},
            {"good": f"is.{text}"},
        ]
        for parameters in attempts:
            # When
            answer = query(**parameters)
            # Then
            assert answer.status == 422, parameters
        assert invoke(OPERATION, path={"dataset": text}, query={}).status in (404, 422)
    assert _ids(query(order="id")) == [1, 2, 3, 4]


def test_sql_in_a_text_filter_is_a_value(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", label="text!")
    good = [text for text in METACHARACTERS if "\x00" not in text]
    insert("t", [{"label": text} for text in good])
    for text in good:
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for condition in (f"eq.{text}", f"in.({quoted})"):
            # When
            answer = invoke(OPERATION, path={"dataset": "t"}, query={"label": condition})
            # Then
            assert answer.json["items"] == [{"label": text}]


def test_an_unknown_dataset(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"dataset": "nothing_here"})
    # Then
    assert (answer.status, answer.fields) == (404, {"dataset": "not_found"})
