"""Compatibility of definitions, compared with what Avro's own schema resolution makes of them."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.compatibility import problems
from datapunk.lake.definition import Compatibility
from hypothesis import given, settings
from hypothesis import strategies as st

AVRO = {
    ColumnType.TEXT: "string",
    ColumnType.INTEGER: "long",
    ColumnType.NUMBER: "double",
    ColumnType.BOOLEAN: "boolean",
}
VALUES: dict[ColumnType, Any] = {
    ColumnType.TEXT: "x",
    ColumnType.INTEGER: 7,
    ColumnType.NUMBER: 1.5,
    ColumnType.BOOLEAN: True,
}


@st.composite
def _columns(draw: st.DrawFn) -> list[Column]:
    """Draw columns of which two lists share many."""
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    columns = []
    for name in names:
        kind = draw(st.sampled_from(sorted(AVRO)))
        default = draw(st.sampled_from([None, VALUES[kind]]))
        columns.append(Column(name=name, type=kind, nullable=draw(st.booleans()), default=default))
    return columns


def _schema(columns: list[Column]) -> Any:
    fields = []
    for column in columns:
        kind: Any = AVRO[column.type]
        field: dict[str, Any] = {"name": column.name, "type": kind, "aliases": [*column.aliases]}
        if column.nullable:
            # The default of a union is of its first branch.
            first, second = (kind, "null") if column.default is not None else ("null", kind)
            field |= {"type": [first, second], "default": column.default}
        elif column.default is not None:
            field["default"] = column.default
        fields.append(field)
    return fastavro.parse_schema({"type": "record", "name": "R", "fields": fields})


def _rows(columns: list[Column]) -> list[dict[str, Any]]:
    """Return rows in which every column is null once where it may be, and once is not."""
    full = {column.name: VALUES[column.type] for column in columns}
    return [full, *({**full, column.name: None} for column in columns if column.nullable)]


def _readable(written: list[Column], read: list[Column]) -> bool:
    """Tell whether Avro reads every row of one schema with the other."""
    for row in _rows(written):
        data = io.BytesIO()
        fastavro.schemaless_writer(data, _schema(written), row)
        data.seek(0)
        try:
            fastavro.schemaless_reader(data, _schema(written), _schema(read))
        except Exception:  # noqa: BLE001 -- fastavro raises several kinds
            return False
    return True


@settings(max_examples=400)
@given(old=_columns(), new=_columns())
def test_backward_and_forward_are_what_avro_says(old: list[Column], new: list[Column]) -> None:
    # Given two definitions
    # When
    backward = not problems(old, new, Compatibility.BACKWARD)
    forward = not problems(old, new, Compatibility.FORWARD)
    full = not problems(old, new, Compatibility.FULL)
    # Then
    assert backward == _readable(old, new)
    assert forward == _readable(new, old)
    assert full == (backward and forward)
    assert problems(old, new, Compatibility.NONE) == []


@given(columns=_columns(), place=st.integers(0, 2))
def test_a_renamed_column_is_found_by_new_readers_as_avro_finds_it(
    columns: list[Column], place: int
) -> None:
    # Given
    old = columns[place % len(columns)]
    renamed = [
        column.model_copy(update={"name": "z", "aliases": (column.name,)})
        if column is old
        else column
        for column in columns
    ]
    # When / Then
    assert problems(columns, renamed, Compatibility.BACKWARD) == []
    assert _readable(columns, renamed)
    assert [name for name, _ in problems(columns, renamed, Compatibility.FORWARD)] == [old.name]


@pytest.mark.parametrize(
    ("old", "new"), [("integer", "decimal"), ("number", "decimal"), ("integer", "number")]
)
def test_numbers_widen_for_writers_and_not_for_readers(old: str, new: str) -> None:
    # Given
    before, after = ([Column(name="a", type=ColumnType(kind))] for kind in (old, new))
    # When / Then
    assert problems(before, after, Compatibility.BACKWARD) == []
    assert problems(before, after, Compatibility.FORWARD) != []
