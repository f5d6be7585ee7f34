"""lake.create_dataset: a dataset and its table, or a problem that names the field."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker
from tests.support.rows import KINDS, column_of
from tests.support.samples import load_sample

OPERATION = "lake.create_dataset"


def _tables(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'lake_data'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_sample_is_created(database: str, invoke: Invoker) -> None:
    # Given
    wanted = json.loads(load_sample(OPERATION)["body"])
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/lake/datasets/{wanted['name']}"
    assert answer.headers["etag"].startswith('"1-')
    assert answer.json["key"] == wanted["key"]
    assert [column["name"] for column in answer.json["columns"]] == [
        column["name"] for column in wanted["columns"]
    ]
    assert _tables(database) == 1


def test_its_table_name_is_nobodys_business(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert "table_name" not in answer.body


def test_a_taken_name_conflicts_and_leaves_no_table(database: str, invoke: Invoker) -> None:
    # Given
    invoke(OPERATION)
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.fields) == (409, {"name": "unique"})
    assert _tables(database) == 1


def test_another_tenant_may_have_the_same_name(database: str, invoke: Invoker) -> None:
    # Given
    invoke(OPERATION)
    # When
    answer = invoke(OPERATION, tenant="acme", principal="user:ada")
    # Then
    assert (answer.status, answer.json["owner"]) == (201, "user:ada")


def test_every_column_type_and_the_longest_names(database: str, invoke: Invoker) -> None:
    # Given
    columns = [column_of(f"{kind}_".ljust(63, "x"), kind).model_dump(mode="json") for kind in KINDS]
    # When
    answer = invoke(OPERATION, body={"name": "d" * 63, "columns": columns})
    # Then
    assert answer.status == 201
    assert [column["type"] for column in answer.json["columns"]] == list(KINDS)


def test_a_dataset_may_have_many_columns(database: str, invoke: Invoker) -> None:
    # Given
    columns = [{"name": f"c{number}", "type": "decimal"} for number in range(250)]
    # When
    answer = invoke(OPERATION, body={"name": "wide", "columns": columns})
    # Then
    assert answer.status == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Bad Name"}, "name"),
        ({"columns": []}, "columns"),
        ({"columns": [{"name": "a", "type": "money"}]}, "columns.0.type"),
        ({"columns": [{"name": "order", "type": "text"}]}, "columns"),
        ({"key": "week"}, "key"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_definition_names_the_field(
    database: str, invoke: Invoker, changes: dict[str, Any], field: str
) -> None:
    # Given
    definition = {**json.loads(load_sample(OPERATION)["body"]), **changes}
    # When
    answer = invoke(OPERATION, body=definition)
    # Then
    assert answer.status == 422
    assert field in answer.fields
    assert _tables(database) == 0


def test_sql_in_a_definition_stays_text(database: str, invoke: Invoker) -> None:
    # Given
    column = {"name": "a", "type": "text"}
    definitions: list[dict[str, Any]] = []
    for text in METACHARACTERS:
        definitions += [
            {"name": text, "columns": [column]},
            {"name": "d", "columns": [{"name": text, "type": "text"}]},
            {"name": "d", "columns": [{"name": "a", "type": text}]},
            {"name": "d", "columns": [column], "key": [text]},
        ]
    for definition in definitions:
        # When
        answer = invoke(OPERATION, body=definition)
        # Then
        assert answer.status == 422, definition
    assert invoke(OPERATION, body={"name": "d", "columns": [column]}).status == 201


def test_any_description_is_kept(database: str, invoke: Invoker) -> None:
    for place, text in enumerate(text for text in METACHARACTERS if len(text) < 1000):
        # Given
        columns = [{"name": "a", "type": "text", "description": text}]
        body = {"name": f"d{place}", "description": text, "columns": columns}
        # When
        answer = invoke(OPERATION, body=body)
        # Then
        if "\x00" in text:
            assert answer.status == 422
        else:
            assert answer.json["description"] == answer.json["columns"][0]["description"] == text


def test_a_malformed_body(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, body='{"name": ')
    # Then
    assert (answer.status, answer.fields) == (400, {"body": "malformed_request"})
