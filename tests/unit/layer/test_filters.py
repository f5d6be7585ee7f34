"""Query parameters: read into a checked query, or refused by name; nothing else comes out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from datapunk.errors import InvalidInputError
from datapunk.lake.columns import ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.filters import NOTHING, read_query
from datapunk.lake.operators import AGGREGATES, COMPARISONS
from datapunk.lake.plan import Order
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.rows import column_of

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


def dataset(*, key: tuple[str, ...] = ()) -> Dataset:
    """Return a dataset with a column of every type, each called like its type with an underscore."""
    columns = [column_of(f"{kind}_", kind, nullable=f"{kind}_" not in key) for kind in ColumnType]
    return Dataset(
        name="d",
        tenant="public",
        description="",
        version=1,
        columns=columns,
        key=list(key),
        owner="o",
        created_at=NOW,
        updated_at=NOW,
        table_name="d_0",
    )


def _read(**parameters: str | list[str]) -> Any:
    many = {k: [v] if isinstance(v, str) else v for k, v in parameters.items()}
    return read_query(many, dataset(), 1000)


def _wrong(**parameters: str | list[str]) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        _read(**parameters)
    return {error.field: error.code for error in raised.value.errors}


def test_nothing_asked_is_everything_by_row() -> None:
    # Given / When
    query = _read()
    # Then
    assert [output.name for output in query.outputs] == [f"{kind}_" for kind in ColumnType]
    assert query.order == (Order("_id"),)
    assert (query.limit, query.cursor, query.filters, query.grouped) == (100, None, (), False)


def test_order_is_completed_by_the_key() -> None:
    # Given
    keyed = dataset(key=("uuid_", "date_"))
    # When
    query = read_query({"order": ["date_.desc"]}, keyed, 1000)
    # Then
    assert query.order == (Order("date_", descending=True), Order("uuid_"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "a.b,c", "a.b,c"),
        ("integer", "-7", -7),
        ("number", "1e3", 1000.0),
        ("date", "2026-11-21", dt.date(2026, 11, 21)),
        ("timestamp", "2026-11-21T00:00:00Z", NOW),
        ("boolean", "true", True),
    ],
)
def test_a_filter_has_its_columns_type(kind: str, text: str, value: Any) -> None:
    # Given / When
    (found,) = _read(**{f"{kind}_": f"gte.{text}"}).filters
    # Then
    assert (found.operator, found.value) == ("gte", value)


def test_several_filters_of_one_column_all_hold() -> None:
    # Given / When
    filters = _read(integer_=["gt.1", "lt.9"]).filters
    # Then
    assert [(item.operator, item.value) for item in filters] == [("gt", 1), ("lt", 9)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("(a,b)", ["a", "b"]),
        ("( a , b )", ["a", "b"]),
        ('("a,b","c\\"d","e\\\\f")', ["a,b", 'c"d', "e\\f"]),
        ("()", []),
    ],
)
def test_in_takes_a_list(text: str, values: list[str]) -> None:
    # Given / When
    (found,) = _read(text_=f"in.{text}").filters
    # Then
    assert found.value == values


def test_select_renames_and_aggregates() -> None:
    # Given / When
    query = _read(select="date_,mean:number_.avg(),count(),integer_.max()", order="mean.desc")
    # Then
    assert [(item.name, item.aggregate) for item in query.outputs] == [
        ("date_", None),
        ("mean", "avg"),
        ("count", "count"),
        ("max", "max"),
    ]
    assert query.order == (Order("mean", descending=True), Order("date_"))
    assert query.grouped


@pytest.mark.parametrize(
    ("parameters", "field", "code"),
    [
        ({"unknown": "eq.1"}, "unknown", "unknown_column"),
        ({"integer_": "like.1"}, "integer_", "operator"),
        ({"integer_": "1"}, "integer_", "operator"),
        ({"integer_": "eq.one"}, "integer_", "value"),
        ({"integer_": "is.true"}, "integer_", "value"),
        ({"integer_": "in.1,2"}, "integer_", "value"),
        ({"integer_": "in.(1,x)"}, "integer_", "value"),
        ({"text_": 'in.("a)'}, "text_", "value"),
        ({"text_": "eq.a\x00b"}, "text_", "value"),
        ({"select": "unknown"}, "select", "unknown_column"),
        ({"select": "text_,text_"}, "select", "duplicate"),
        ({"select": "text_.avg()"}, "select", "aggregate"),
        ({"select": "json_.max()"}, "select", "aggregate"),
        ({"select": "avg()"}, "select", "aggregate"),
        ({"select": "integer_.median()"}, "select", "aggregate"),
        ({"select": "integer_;"}, "select", "syntax"),
        ({"select": "Upper:integer_"}, "select", "syntax"),
        ({"order": "unknown"}, "order", "unknown_column"),
        ({"order": "integer_.up"}, "order", "syntax"),
        ({"order": "integer_,integer_.desc"}, "order", "duplicate"),
        ({"limit": "0"}, "limit", "range"),
        ({"limit": "1001"}, "limit", "range"),
        ({"limit": "-1"}, "limit", "range"),
        ({"limit": "\u0661"}, "limit", "range"),
        ({"limit": ["1", "2"]}, "limit", "duplicate"),
        ({"cursor": ["a", "b"]}, "cursor", "duplicate"),
    ],
)
def test_what_is_wrong_is_named(
    parameters: dict[str, str | list[str]], field: str, code: str
) -> None:
    # Given / When / Then
    assert _wrong(**parameters)[field] == code


def test_everything_that_is_wrong_is_named_at_once() -> None:
    # Given / When / Then
    assert set(_wrong(select="x", order="y", limit="z", w="eq.1")) == {
        "select",
        "order",
        "limit",
        "w",
    }


WORDS = st.sampled_from(
    [
        *(f"{kind}_" for kind in ColumnType),
        *COMPARISONS,
        *NOTHING,
        *AGGREGATES,
        *(
            "in",
            "is",
            ".",
            ",",
            "(",
            ")",
            ":",
            '"',
            "\\",
            "'",
            ";",
            "--",
            "()",
            "1",
            "*",
            " ",
            "\x00",
        ),
    ]
)
TEXTS = st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=8).map("".join))
NAMES = st.one_of(
    st.sampled_from(["select", "order", "limit", "cursor", *(f"{kind}_" for kind in ColumnType)]),
    st.text(max_size=10),
)


@given(st.dictionaries(NAMES, st.lists(TEXTS, min_size=1, max_size=3), max_size=4))
@example({"json_": ["eq.1e999"]})
@example({"decimal_": ["eq.1e999999"]})
@example({"timestamp_": ["eq.9999999999999999999"]})
@example({"text_": ["in.(\ud800)"]})
def test_any_parameters_are_read_or_refused(parameters: dict[str, list[str]]) -> None:
    # Given
    known = dataset()
    names = {column.name for column in known.columns}
    # When
    try:
        query = read_query(parameters, known, 1000)
    except InvalidInputError as error:
        # Then
        assert error.errors
    else:
        assert {item.field.column.name for item in query.filters} <= names
        assert all(item.field is None or item.field.column.name in names for item in query.outputs)
        assert 1 <= query.limit <= 1000
