"""Definitions of datasets: names and columns that can be kept, and those that cannot."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.lake.columns import (
    PYTHON_TYPES,
    RESERVED,
    SQL_TYPES,
    ColumnType,
    text_value,
)
from datapunk.lake.datasets import DatasetDefinition
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError


def _definition(**changes: Any) -> dict[str, Any]:
    return {"name": "d", "columns": [{"name": "a", "type": "text"}], **changes}


def _columns(*names: str, kind: str = "text") -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name in names]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Upper"}, "name"),
        ({"name": "1st"}, "name"),
        ({"name": "_id"}, "name"),
        ({"name": 'a"; DROP SCHEMA lake CASCADE; --'}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": "\u00e4rger"}, "name"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "x" * 4001}, "description"),
        ({"columns": []}, "columns"),
        ({"columns": _columns(*(f"c{i}" for i in range(251)))}, "columns"),
        ({"columns": _columns("a", "a")}, "columns"),
        ({"columns": _columns("_id")}, "columns"),
        ({"columns": _columns("a", kind="money")}, "columns"),
        ({"columns": [{"name": "a", "type": "text", "description": "\x00"}]}, "columns"),
        ({"columns": [{"name": "a", "type": "text", "other": 1}]}, "columns"),
        ({"key": ["b"]}, ""),
        ({"key": ["a", "a"]}, ""),
        ({"columns": _columns("a", kind="json"), "key": ["a"]}, ""),
        ({"other": 1}, "other"),
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: dict[str, Any], field: str) -> None:
    # Given
    definition = _definition(**wrong)
    # When
    with pytest.raises(ValidationError) as raised:
        DatasetDefinition.model_validate(definition)
    # Then
    locations = [".".join(map(str, item["loc"])) for item in raised.value.errors()]
    assert all(location.startswith(field) for location in locations)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_words_of_the_query_language_name_no_column(name: str) -> None:
    # Given / When / Then
    with pytest.raises(ValidationError):
        DatasetDefinition.model_validate(_definition(columns=_columns(name)))


@given(st.text(max_size=70))
def test_a_name_is_an_identifier_or_refused(name: str) -> None:
    # Given
    good = name[:1].isascii() and name[:1].islower() and len(name) <= 63
    good = good and all(sign in "abcdefghijklmnopqrstuvwxyz0123456789_" for sign in name)
    # When
    try:
        DatasetDefinition.model_validate(_definition(name=name))
    except ValidationError:
        # Then
        assert not good
    else:
        assert good


def test_columns_of_the_key_are_required() -> None:
    # Given
    definition = _definition(columns=_columns("a", "b"), key=["b"])
    # When
    read = DatasetDefinition.model_validate(definition)
    # Then
    assert [(column.name, column.nullable) for column in read.columns] == [
        ("a", True),
        ("b", False),
    ]


def test_every_type_is_known_everywhere() -> None:
    # Given / When / Then
    assert set(SQL_TYPES) == set(PYTHON_TYPES) == set(ColumnType)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ColumnType.INTEGER, "9223372036854775808"),
        (ColumnType.INTEGER, "-9223372036854775809"),
        (ColumnType.INTEGER, "1.5"),
        (ColumnType.NUMBER, "NaN"),
        (ColumnType.NUMBER, "inf"),
        (ColumnType.DECIMAL, "NaN"),
        (ColumnType.DECIMAL, "Infinity"),
        (ColumnType.DATE, "2026-02-30"),
        (ColumnType.TIMESTAMP, "soon"),
        (ColumnType.UUID, "g" * 32),
        (ColumnType.BOOLEAN, "perhaps"),
        (ColumnType.JSON, "{"),
        (ColumnType.TEXT, "a\x00b"),
    ],
)
def test_texts_that_are_no_value_are_refused(kind: ColumnType, text: str) -> None:
    # Given / When / Then
    with pytest.raises(ValidationError):
        text_value(kind).validate_python(text)
