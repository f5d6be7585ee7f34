"""Any rows, any filters, any page size: what a client gets is what Python would compute."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
import operator
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from datapunk import limits
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.columns import RANGES, Column, ColumnType
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Invoker
from tests.support.rows import FILE_WRITERS, NOT_EVERYWHERE, TEXTS, WRITERS, columns_and_rows

pytestmark = pytest.mark.usefixtures("database", "no_broker")
_numbers = itertools.count()
ALL_WRITERS = WRITERS | FILE_WRITERS

READERS: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.NUMBER: float,
    ColumnType.DECIMAL: lambda value: Decimal(str(value)),
    ColumnType.BOOLEAN: lambda value: value in (True, "true"),
    ColumnType.DATE: dt.date.fromisoformat,
    ColumnType.TIMESTAMP: dt.datetime.fromisoformat,
    ColumnType.UUID: uuid.UUID,
    ColumnType.JSON: lambda value: value,
    ColumnType.VECTOR: lambda value: value,
    **dict.fromkeys(RANGES, str),
}
UNSORTED = (
    ColumnType.JSON,
    ColumnType.BOOLEAN,
    ColumnType.VECTOR,
    *NOT_EVERYWHERE,
    *RANGES,
)
"""Types that Python has no order for, or another one."""
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@pytest.fixture(autouse=True)
def _many_requests(database: str) -> None:
    """Let the examples of a test send as many requests as they need: limits have tests of their own."""
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )
    limits.forget()


def _create(invoke: Invoker, columns: list[Column], key: list[str] | None = None) -> str:
    name = f"d{next(_numbers)}"
    definition = {
        "name": name,
        "columns": [column.model_dump(mode="json") for column in columns],
        "key": key or [],
    }
    answer = invoke("lake.create_dataset", body=definition)
    assert answer.status == 201, answer.body
    return name


def _insert(invoke: Invoker, name: str, body: Any, content_type: str = "application/json") -> None:
    answer = invoke(
        "lake.insert_records", path={"dataset": name}, body=body, content_type=content_type
    )
    assert answer.status == 201, answer.body


def _pages(invoke: Invoker, name: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    seen: set[str] = set()
    while cursor is not None:
        assert cursor not in seen, "a page leads back to itself"
        seen.add(cursor)
        more = {"cursor": cursor} if cursor else {}
        answer = invoke("lake.query_records", path={"dataset": name}, query={**query, **more})
        assert answer.status == 200, answer.body
        page = json.loads(answer.body, parse_float=Decimal)
        yield from page["items"]
        cursor = page["next_cursor"]


def _typed(columns: list[Column], item: dict[str, Any]) -> dict[str, Any]:
    kinds = {column.name: column.type for column in columns}
    return {
        name: None if value is None else READERS[kinds[name]](value) for name, value in item.items()
    }


@settings(max_examples=30)
@given(drawn=columns_and_rows(), media_type=st.sampled_from(sorted(ALL_WRITERS)))
def test_what_went_in_by_any_format_comes_out(
    invoke: Invoker, drawn: tuple[list[Column], list[dict[str, Any]]], media_type: str
) -> None:
    # Given
    columns, rows = drawn
    assume(rows or media_type != "application/x-ndjson")  # no line at all is no body
    name = _create(invoke, columns)
    # When
    _insert(invoke, name, ALL_WRITERS[media_type](columns, rows), media_type)
    found = [_typed(columns, item) for item in _pages(invoke, name, {"limit": "2"})]
    # Then
    assert _plain_numbers(found) == _plain_numbers(rows)


def _plain_numbers(rows: list[dict[str, Any]]) -> list[Any]:
    """Return rows with numbers inside JSON values as one kind: PostgreSQL keeps 1e2 as 100."""
    return [
        {k: _plain_number(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        for row in rows
    ]


def _plain_number(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_number(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain_number(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


NUMBERED = [
    Column(name="id", type=ColumnType.INTEGER, nullable=False),
    Column(name="n", type=ColumnType.INTEGER),
    Column(name="t", type=ColumnType.TEXT),
]
SMALL = st.none() | st.integers(-3, 3)
WORDS = st.none() | st.sampled_from(["", "a", "b", "ab", "\u00e4", "A", '"', "\U0001f4a3"]) | TEXTS
ROWS = st.lists(st.fixed_dictionaries({"n": SMALL, "t": WORDS}), min_size=1, max_size=12)


def _numbered(invoke: Invoker, rows: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    whole = [{"id": place, **row} for place, row in enumerate(rows)]
    name = _create(invoke, NUMBERED, key=["id"])
    _insert(invoke, name, whole)
    return name, whole


@settings(max_examples=30)
@given(
    rows=ROWS,
    n=st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(-3, 3)),
    t=st.tuples(st.sampled_from(["eq", "neq"]), WORDS.filter(lambda text: text is not None)),
)
def test_filters_do_what_python_would(
    invoke: Invoker, rows: list[dict[str, Any]], n: tuple[str, int], t: tuple[str, str]
) -> None:
    # Given
    name, whole = _numbered(invoke, rows)
    # When
    query = {"n": f"{n[0]}.{n[1]}", "t": f"{t[0]}.{t[1]}", "order": "id", "select": "id"}
    found = [item["id"] for item in _pages(invoke, name, query)]
    # Then null satisfies no comparison, as in SQL
    assert found == [
        row["id"]
        for row in whole
        if row["n"] is not None
        and row["t"] is not None
        and OPERATORS[n[0]](row["n"], n[1])
        and OPERATORS[t[0]](row["t"], t[1])
    ]


def _sort_key(column: str) -> Callable[[dict[str, Any]], tuple[bool, Any]]:
    nothing: Any = "" if column == "t" else 0
    return lambda row: (row[column] is None, nothing if row[column] is None else row[column])


@settings(max_examples=30)
@given(
    rows=ROWS,
    order=st.lists(
        st.tuples(st.sampled_from(["n", "t", "id"]), st.sampled_from(["", ".asc", ".desc"])),
        unique_by=lambda item: item[0],
        max_size=3,
    ),
    limit=st.integers(1, 5),
)
def test_pages_hold_every_row_once_in_order(
    invoke: Invoker, rows: list[dict[str, Any]], order: list[tuple[str, str]], limit: int
) -> None:
    # Given
    name, whole = _numbered(invoke, rows)
    # When
    query = {"order": ",".join(map("".join, order)), "limit": str(limit)}
    found = list(_pages(invoke, name, query))
    # Then nulls come last ascending, first descending; ties are broken by the key
    expected = sorted(whole, key=lambda row: row["id"])
    for column, direction in reversed(order):
        expected.sort(key=_sort_key(column), reverse=direction == ".desc")
    assert found == expected


@settings(max_examples=20)
@given(rows=ROWS, limit=st.integers(1, 3), descending=st.booleans())
def test_aggregates_do_what_python_would(
    invoke: Invoker,
    rows: list[dict[str, Any]],
    limit: int,
    descending: bool,  # noqa: FBT001
) -> None:
    # Given
    name, whole = _numbered(invoke, rows)
    # When
    query = {
        "select": "n,rows:count(),texts:t.count(),most:id.max(),total:id.sum()",
        "order": "n.desc" if descending else "n",
        "limit": str(limit),
    }
    found = list(_pages(invoke, name, query))
    # Then
    groups: dict[int | None, list[dict[str, Any]]] = {}
    for row in whole:
        groups.setdefault(row["n"], []).append(row)
    keys = sorted(groups, key=lambda n: (n is None, n or 0), reverse=descending)
    assert found == [
        {
            "n": key,
            "rows": len(groups[key]),
            "texts": sum(row["t"] is not None for row in groups[key]),
            "most": max(row["id"] for row in groups[key]),
            "total": sum(row["id"] for row in groups[key]),
        }
        for key in keys
    ]


@settings(max_examples=20)
@given(rows=st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False)), max_size=8))
def test_pages_over_numbers_without_a_key_hold_every_row_once(
    invoke: Invoker, rows: list[tuple[float]]
) -> None:
    # Given
    name = _create(invoke, [Column(name="x", type=ColumnType.NUMBER)])
    _insert(invoke, name, [{"x": x} for (x,) in rows])
    # When
    found = [float(item["x"]) for item in _pages(invoke, name, {"order": "x.desc", "limit": "1"})]
    # Then
    assert found == sorted((x for (x,) in rows), reverse=True)


@pytest.mark.parametrize("kind", [kind for kind in ColumnType if kind not in UNSORTED])
@settings(max_examples=10)
@given(data=st.data())
def test_pages_ordered_by_a_column_of_any_type(
    invoke: Invoker, kind: ColumnType, data: st.DataObject
) -> None:
    # Given
    column = Column(name="x", type=kind)
    from tests.support.rows import VALUES, plain

    values = data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=6))
    name = _create(invoke, [column])
    _insert(invoke, name, [{"x": plain(value)} for value in values])
    for direction in ("asc", "desc"):
        # When
        query = {"order": f"x.{direction}", "limit": "1"}
        found = [_typed([column], item)["x"] for item in _pages(invoke, name, query)]
        # Then
        present = sorted((v for v in values if v is not None), reverse=direction == "desc")
        nulls: list[Any] = [None] * values.count(None)
        assert found == (nulls + present if direction == "desc" else present + nulls)


@settings(max_examples=20)
@given(rows=ROWS)
def test_csv_and_ndjson_say_what_json_says(invoke: Invoker, rows: list[dict[str, Any]]) -> None:
    # Given
    name, whole = _numbered(invoke, rows)
    texts: dict[str, str] = {}
    # When
    for media_type in ("text/csv", "application/x-ndjson"):
        answer = invoke(
            "lake.query_records",
            path={"dataset": name},
            query={"order": "id"},
            headers={"Accept": media_type},
        )
        assert answer.status == 200
        texts[media_type] = answer.body
    # Then
    lines = texts["application/x-ndjson"].split("\n")[:-1]
    assert [json.loads(line) for line in lines] == whole
    header, *read = csv.reader(io.StringIO(texts["text/csv"], newline=""))
    assert header == ["id", "n", "t"]
    assert read == [["" if row[n] is None else str(row[n]) for n in header] for row in whole]
