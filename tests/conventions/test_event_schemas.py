"""Every event the platform emits has its Avro schema, and keeps to it."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import psycopg
import pytest
from datapunk.lake.telling import RECORDS_INSERTED

from tests.support.invoking import Invoker
from tests.support.samples import EVENTS, python_files

SCHEMAS = {file.stem: file for file in (EVENTS / "schemas").glob("*.avsc")}


def _schema(event_type: str) -> Any:
    return fastavro.parse_schema(json.loads(SCHEMAS[event_type].read_text()))


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_a_schema_is_valid_and_documented(event_type: str) -> None:
    # Given
    raw = json.loads(SCHEMAS[event_type].read_text())
    # When
    parsed = fastavro.parse_schema(raw)
    # Then
    assert parsed["type"] == "record"
    assert raw["doc"]
    assert all(field["doc"] for field in raw["fields"])


def test_every_schema_belongs_to_an_event_that_code_emits() -> None:
    # Given
    sources = [file.read_text() for file in python_files() if "layers" in file.parts]
    # When
    unused = [name for name in SCHEMAS if not any(f'"{name}"' in text for text in sources)]
    # Then
    assert unused == []


def test_inserted_records_are_told_as_the_schema_says(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    assert invoke("lake.insert_records").status == 201
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT body FROM platform.outbox").fetchall()
    ((body,),) = found
    event = json.loads(body)
    # When
    schema = _schema(event["type"])
    written = io.BytesIO()
    fastavro.schemaless_writer(written, schema, event["data"], strict=True)
    written.seek(0)
    read = fastavro.schemaless_reader(written, schema, None)
    # Then
    assert event["type"] == RECORDS_INSERTED
    assert read == event["data"] == {"dataset": "co2_weekly", "count": 3, "version": 1}
