"""Datasets from JSON Schema and from Avro: what is read, and what is refused by name."""

from __future__ import annotations

import copy
from typing import Any

import fastavro
import pytest
from datapunk.lake.columns import ColumnType
from datapunk.lake.declarations import DatasetDeclaration
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.invoking import Invoker

JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/reading",
    "title": "Reading",
    "type": "object",
    "properties": {
        "station": {"type": "string", "pattern": "^[a-z]{3}$", "description": "Code"},
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": ["string", "null"], "format": "date"},
        "ppm": {"type": "number", "minimum": 0, "exclusiveMaximum": 1000},
        "level": {"type": "integer", "default": 1, "enum": [1, 2, 3]},
        "owner": {"type": "string", "format": "email", "x-sensitivity": "personal"},
        "old": {"type": "boolean", "deprecated": True},
        "price": {"type": "string", "format": "decimal"},
        "id": {"type": "string", "format": "uuid"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["station", "at", "ppm"],
    "additionalProperties": False,
}
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "reading",
    "namespace": "org.example",
    "doc": "A reading",
    "fields": [
        {"name": "station", "type": "string", "doc": "Code"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "ppm", "type": ["double", "null"], "default": 1.5, "aliases": ["co2"]},
        {"name": "level", "type": {"type": "enum", "name": "level", "symbols": ["low", "high"]}},
        {"name": "other", "type": ["null", "level"]},
        {"name": "owner", "type": "string", "sensitivity": "personal"},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}


def _columns(**declaration: Any) -> dict[str, Any]:
    read = DatasetDeclaration.model_validate({"name": "d", **declaration}).definition()
    return {column.name: column for column in read.columns}


def test_a_json_schema_becomes_columns() -> None:
    # Given / When
    columns = _columns(json_schema=JSON_SCHEMA)
    # Then
    assert {name: (str(column.type), column.nullable) for name, column in columns.items()} == {
        "station": ("text", False),
        "at": ("timestamp", False),
        "day": ("date", True),
        "ppm": ("number", False),
        "level": ("integer", True),
        "owner": ("text", True),
        "old": ("boolean", True),
        "price": ("decimal", True),
        "id": ("uuid", True),
        "tags": ("json", True),
    }
    assert columns["station"].checks.pattern == "^[a-z]{3}$"
    assert columns["ppm"].checks.bounds == {"minimum": 0, "exclusive_maximum": 1000}
    assert (columns["level"].default, columns["level"].checks.enum) == (1, (1, 2, 3))
    assert columns["owner"].sensitivity == "personal"
    assert columns["old"].deprecated


def test_an_avro_record_becomes_columns() -> None:
    # Given a schema that Avro itself reads
    fastavro.parse_schema(copy.deepcopy(AVRO))
    # When
    columns = _columns(avro_schema=AVRO)
    # Then
    assert {name: (str(column.type), column.nullable) for name, column in columns.items()} == {
        "station": ("text", False),
        "at": ("timestamp", False),
        "day": ("date", True),
        "ppm": ("number", True),
        "level": ("text", False),
        "other": ("text", True),
        "owner": ("text", False),
        "price": ("decimal", False),
        "id": ("uuid", False),
        "tags": ("json", False),
    }
    assert columns["at"].default == "1970-01-01T00:00:00+00:00"
    assert (columns["ppm"].default, columns["ppm"].aliases) == (1.5, ("co2",))
    assert columns["level"].checks.enum == columns["other"].checks.enum == ("low", "high")
    assert columns["owner"].sensitivity == "personal"


def test_an_avro_record_brings_its_name() -> None:
    # Given / When
    read = DatasetDeclaration.model_validate({"avro_schema": AVRO})
    # Then
    assert (read.definition().name, read.definition().description) == ("reading", "A reading")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"properties": {"a": {"type": "string", "oneOf": []}}}, "properties.a.oneOf"),
        ({"properties": {"a": {"type": "money"}}}, "properties.a.type"),
        ({"properties": {"a": {"type": ["string", "integer"]}}}, ""),
        ({"properties": {"camelCase": {"type": "string"}}}, ""),
        ({"properties": {"a": {"type": "string", "items": {}}}}, ""),
        ({"properties": {"a": {"type": "integer", "pattern": "x"}}}, ""),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, ""),
        ({"properties": {"a": {"type": "string", "pattern": "("}}}, ""),
        ({"properties": {"a": {"type": "string", "pattern": "(a)\\1"}}}, ""),
        ({"properties": {}}, "properties"),
        ({"required": ["nothing"]}, ""),
        ({"additionalProperties": True}, "additionalProperties"),
        ({"type": "array"}, "type"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
        ({"$ref": "#/x"}, "$ref"),
        ({"allOf": []}, "allOf"),
    ],
)
def test_what_a_json_schema_says_beyond_that_is_refused(change: dict[str, Any], place: str) -> None:
    # Given
    small = {"type": "object", "properties": {"a": {"type": "string"}}}
    # When
    with pytest.raises(ValidationError) as raised:
        DatasetDeclaration.model_validate({"name": "d", "json_schema": {**small, **change}})
    # Then
    places = {".".join(map(str, item["loc"])) for item in raised.value.errors()}
    assert any(found.startswith(f"json_schema.{place}".rstrip(".")) for found in places), places


@pytest.mark.parametrize(
    "kind",
    [
        "bytes",
        "null",
        "Unknown",
        ["int", "string"],
        ["null"],
        {"type": "fixed", "name": "f", "size": 4},
        {"type": "int", "logicalType": "time-millis"},
        {"type": "enum", "name": "e", "symbols": []},
        7,
        None,
    ],
)
def test_what_has_no_place_in_a_column_is_refused(kind: Any) -> None:
    # Given
    record = {"type": "record", "name": "r", "fields": [{"name": "a", "type": kind}]}
    # When / Then
    with pytest.raises(ValidationError, match="a: "):
        DatasetDeclaration.model_validate({"name": "d", "avro_schema": record})


def test_a_schema_goes_with_keys_and_references(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    body = {
        "name": "readings",
        "json_schema": JSON_SCHEMA,
        "key": ["station", "at"],
        "event_time": "at",
    }
    # When
    answer = invoke("lake.create_dataset", body=body)
    # Then
    assert answer.status == 201, answer.body
    assert (answer.json["key"], answer.json["event_time"]) == (["station", "at"], "at")
    assert "json_schema" not in answer.json
    row = {"station": "mlo", "at": "2026-11-28T00:00:00Z", "ppm": 425.1}
    inserted = invoke(
        "lake.insert_records",
        path={"dataset": "readings"},
        body=[row],
        content_type="application/json",
    )
    assert inserted.status == 201, inserted.body


def test_an_avro_dataset_is_created(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke("lake.create_dataset", body={"avro_schema": AVRO})
    # Then
    assert (answer.status, answer.json["name"]) == (201, "reading")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "d"}, "body"),
        ({"name": "d", "json_schema": JSON_SCHEMA, "avro_schema": AVRO}, "body"),
        ({"name": "d", "json_schema": {"type": "object"}}, "json_schema.properties"),
        ({"json_schema": JSON_SCHEMA}, "name"),
    ],
)
def test_a_declaration_is_made_in_one_way(
    database: str, invoke: Invoker, body: dict[str, Any], field: str
) -> None:
    # Given / When
    answer = invoke("lake.create_dataset", body=body)
    # Then
    assert answer.status == 422
    assert field in answer.fields, answer.body


def test_a_pattern_postgresql_reads_otherwise_is_refused(database: str, invoke: Invoker) -> None:
    # Given a class that one of the two does not know
    column = {"name": "a", "type": "text", "checks": {"pattern": "\\p{Greek}"}}
    # When
    answer = invoke("lake.create_dataset", body={"name": "d", "columns": [column]})
    # Then
    assert (answer.status, answer.fields) == (422, {"columns": "pattern"})


names = st.sampled_from(["a", "b", "cd", "Bad", "1st", "order", ""])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("string")
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "fields", "logicalType", "symbols", "default", "enum"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(properties=st.dictionaries(names, anything, max_size=3), kind=anything, name=names)
def test_no_schema_is_answered_with_anything_but_columns_or_a_refusal(
    properties: dict[str, Any], kind: Any, name: str
) -> None:
    # Given schemas nobody would write
    record = {"type": "record", "name": "r", "fields": [{"name": name, "type": kind}]}
    schema = {"type": "object", "properties": properties}
    for declaration in ({"avro_schema": record}, {"json_schema": schema}):
        # When
        try:
            columns = _columns(**declaration)
        except ValidationError:
            continue
        # Then
        assert columns
        assert all(isinstance(column.type, ColumnType) for column in columns.values())
