"""Definitions that are remembered: a query never fails because of what is no longer so."""

from __future__ import annotations

import json

import psycopg
import psycopg.conninfo
import pytest

from tests.support.invoking import Invoker
from tests.support.services import Instance

JSON = "application/json"
OPERATION = "lake.query_records"
NAMES = {"dataset": "t"}
DEFINITION = {
    "name": "t",
    "columns": [{"name": "a", "type": "integer"}, {"name": "b", "type": "text"}],
}


@pytest.fixture
def remembered(database: str, instance: Instance, no_broker: None, invoke: Invoker) -> str:
    """Return the URL of a database whose dataset `t` has a row and is remembered."""
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    inserted = invoke(
        "lake.insert_records", path=NAMES, body=[{"a": 1, "b": "x"}], content_type=JSON
    )
    assert inserted.status == 201, inserted.body
    answer = invoke(OPERATION, path=NAMES, query={}, headers={"Accept": JSON})
    assert answer.json["items"] == [{"a": 1, "b": "x"}]
    return psycopg.conninfo.make_conninfo(
        instance.superuser_url, dbname=database.rpartition("/")[2]
    )


def _change(url: str, statement: str, columns: list[dict[str, str]]) -> None:
    """Change table and definition as another release might, without a word to the cache."""
    with psycopg.connect(url) as connection:
        (table,) = connection.execute("SELECT table_name FROM lake.datasets").fetchone() or ("",)
        connection.execute(statement.replace("{table}", f"lake_data.{table}").encode())
        connection.execute(
            "UPDATE lake.datasets SET version = version + 1, columns = %s",
            (json.dumps([{"nullable": True, "description": "", **item} for item in columns]),),
        )


def test_a_column_that_has_gone_is_noticed(remembered: str, invoke: Invoker) -> None:
    # Given
    _change(remembered, "ALTER TABLE {table} DROP COLUMN b", [{"name": "a", "type": "integer"}])
    # When
    answer = invoke(OPERATION, path=NAMES, query={}, headers={"Accept": JSON})
    # Then
    assert (answer.status, answer.json["items"]) == (200, [{"a": 1}])


def test_a_column_that_is_new_can_be_asked_for(remembered: str, invoke: Invoker) -> None:
    # Given
    columns = [{"name": name, "type": "text"} for name in "bc"]
    _change(
        remembered,
        "ALTER TABLE {table} ADD COLUMN c text DEFAULT 'new'",
        [{"name": "a", "type": "integer"}, *columns],
    )
    # When
    answer = invoke(OPERATION, path=NAMES, query={"select": "a,c"}, headers={"Accept": JSON})
    # Then
    assert (answer.status, answer.json["items"]) == (200, [{"a": 1, "c": "new"}])


def test_what_is_wrong_either_way_is_said(remembered: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path=NAMES, query={"select": "nothing"})
    # Then
    assert (answer.status, answer.fields) == (422, {"select": "unknown_column"})
