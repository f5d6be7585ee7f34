"""Encrypted columns: read as written by who may, unreadable everywhere else."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import (
    ANN,
    BOB,
    DEFINITION,
    EMAIL,
    NOTES,
    PLANTED,
    everything_stored,
    row,
)
from tests.support.rest import Rest


@pytest.fixture
def patients(database: str, no_broker: None, invoke: Invoker) -> str:
    """Make a dataset of patients and return the database's URL."""
    answer = invoke("lake.create_dataset", body=DEFINITION)
    assert answer.status == 201, answer.body
    return database


def _insert(invoke: Invoker, body: Any, content_type: str = "application/json") -> Answer:
    return invoke(
        "lake.insert_records", path={"dataset": "patients"}, body=body, content_type=content_type
    )


def _query(invoke: Invoker, accept: str = "application/json", **query: str) -> Answer:
    return invoke(
        "lake.query_records", path={"dataset": "patients"}, query=query, headers={"Accept": accept}
    )


def test_values_come_back_as_written_and_are_nowhere_else(
    patients: str, invoke: Invoker, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given rows that came in each way
    assert _insert(invoke, [row(1, ANN), row(2, BOB)]).status == 201
    notes = json.dumps(NOTES[ANN]).replace('"', '""')
    text = f'id,person,email,notes,born,weight\n3,{ANN},{EMAIL[ANN]},"{notes}",1815-12-10,61.50\n'
    assert _insert(invoke, text, "text/csv").status == 201
    assert (
        _insert(invoke, f"id,person,email\n4,{BOB},\n5,{BOB},b@x.org\n", "text/csv").status == 201
    )
    rest = Rest()
    merge = "resolution=merge-duplicates,return=representation"
    merged = rest.post("patients", [row(2, BOB, ward="B")], merge)
    assert (merged.status, merged.json[0]["email"]) == (201, EMAIL[BOB])
    # When
    page = _query(invoke, order="id").json["items"]
    lines = _query(invoke, "text/csv", select="email,notes", id="in.(1,4)").body.splitlines()
    through_rest = rest("patients", select="mail:email,notes,weight,born", order="id").json
    # Then
    assert page[0] == row(1, ANN) | {"weight": 61.5}
    assert page[1] == row(2, BOB, ward="B") | {"weight": 61.5}
    assert [item["email"] for item in page] == [
        EMAIL[ANN], EMAIL[BOB], EMAIL[ANN], None, "b@x.org",
    ]  # fmt: skip
    assert page[2]["notes"] == NOTES[ANN]
    assert through_rest[2] == {
        "mail": EMAIL[ANN], "notes": NOTES[ANN], "weight": 61.5, "born": "1815-12-10",
    }  # fmt: skip
    assert lines[0] == "email,notes"
    assert lines[1].startswith(EMAIL[ANN])
    assert lines[2] == ","
    stored = everything_stored(patients) + "".join(capfd.readouterr())
    assert not [value for value in PLANTED if value in stored]
    assert ANN in stored
    assert '"dataset":"patients"' in stored


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"email": f"eq.{EMAIL[ANN]}"}, [1, 3]),
        ({"email": f"in.({EMAIL[ANN]},{EMAIL[BOB]})"}, [1, 2, 3]),
        ({"email": "eq.nobody@example.com"}, []),
        ({"born": "eq.1815-12-10"}, [1, 2, 3]),
        ({"weight": "eq.61.5"}, [1, 2]),
        ({"weight": "eq.61.50"}, [1, 2]),
        ({"notes": "is.null"}, [2, 3]),
    ],
)
def test_rows_are_found_by_what_is_encrypted(
    patients: str, invoke: Invoker, query: dict[str, Any], found: list[int]
) -> None:
    # Given
    rows = [row(1, ANN), row(2, BOB), row(3, ANN, notes=None, weight=None)]
    assert _insert(invoke, rows).status == 201
    # When
    plain = _query(invoke, select="id", **query).json["items"]
    through_rest = Rest()("patients", select="id", order="id", **query).json
    # Then
    assert [item["id"] for item in plain] == found
    assert [item["id"] for item in through_rest] == found


@pytest.mark.parametrize(
    "query",
    [
        {"email": "like.*ann*"},
        {"email": "neq.x"},
        {"email": "gt.a"},
        {"email": "eq(any).{a,b}"},
        {"iban": "eq.x"},
        {"notes": "cs.{}"},
        {"notes->>allergy": "eq.penicillin"},
        {"or": "(id.eq.1,email.like.*ann*)"},
        {"order": "email"},
        {"select": "email.count()"},
        {"select": "email,count()"},
        {"select": "notes->>allergy"},
        {"select": "born::text"},
    ],
)
def test_more_than_equality_is_refused(patients: str, query: dict[str, Any]) -> None:
    # When
    answer = Rest()("patients", **query)
    # Then
    assert answer.status == 400, answer.body
    assert "encrypted" in answer.body or "selected" in answer.body or "whole" in answer.body
    assert "sql" not in answer.body.lower()


def test_changes_are_encrypted_for_each_row(patients: str, invoke: Invoker) -> None:
    # Given
    assert _insert(invoke, [row(1, ANN), row(2, BOB), row(3, ANN)]).status == 201
    rest = Rest()
    # When
    new = {"email": "new@example.com", "notes": None, "ward": "C"}
    changed = rest.patch("patients", new, id="gte.2", select="id,email,notes,ward", order="id")
    # Then
    assert changed.status == 200, changed.body
    assert changed.json == [
        {"id": number, "email": "new@example.com", "notes": None, "ward": "C"} for number in (2, 3)
    ]
    assert [r["id"] for r in rest("patients", email="eq.new@example.com", order="id").json] == [
        2,
        3,
    ]
    assert [r["id"] for r in rest("patients", email=f"eq.{EMAIL[ANN]}").json] == [1]
    put = rest.put("patients", [row(3, BOB)], id="eq.3")
    assert put.status in (200, 204), put.body
    assert rest("patients", id="eq.3").json[0]["email"] == EMAIL[BOB]
    for refused in ({"id": 9}, {"person": BOB}):
        assert rest.patch("patients", refused, id="eq.1").status == 400
    half = {"id": 1, "email": "x@example.com"}
    assert rest.post("patients", [half], "resolution=merge-duplicates").status == 400


def test_a_cell_is_bound_to_its_row(patients: str, invoke: Invoker) -> None:
    # Given somebody who moves a value to another row
    assert _insert(invoke, [row(1, ANN), row(2, BOB)]).status == 201
    with psycopg.connect(patients) as connection:
        connection.execute("SET ROLE lake_owner")
        name = connection.execute(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'patients%'"
        ).fetchone()
        assert name is not None
        connection.execute("RESET ROLE")
        connection.execute("SET datapunk.tenant = 'public'")
        table = f"lake_data.{name[0]}"
        connection.execute(
            f"UPDATE {table} SET email = (SELECT email FROM {table} WHERE id = 1) WHERE id = 2"
        )
    # When
    moved, other = _query(invoke, id="eq.2"), _query(invoke, id="eq.1")
    # Then
    assert (moved.status, moved.json["code"]) == (500, "damaged_value")
    assert EMAIL[ANN] not in moved.body
    assert other.json["items"][0]["email"] == EMAIL[ANN]


def test_renaming_keeps_values_and_dropping_loses_them(patients: str, invoke: Invoker) -> None:
    # Given
    assert _insert(invoke, [row(1, ANN)]).status == 201

    def change(*changes: dict[str, Any]) -> Answer:
        return invoke(
            "lake.change_dataset",
            path={"dataset": "patients"},
            body={"changes": list(changes), "compatibility": "none"},
        )

    # When
    renamed = change({"op": "rename_column", "column": "email", "name": "mail"})
    added = change(
        {
            "op": "add_column",
            "column": {
                "name": "phone", "type": "text", "protection": "encrypted", "searchable": True,
            },
        }
    )  # fmt: skip
    # Then
    assert (renamed.status, added.status) == (200, 200), renamed.body + added.body
    answer = _query(invoke, mail=f"eq.{EMAIL[ANN]}")
    assert answer.status == 200, answer.body
    found = answer.json["items"]
    assert found[0]["mail"] == EMAIL[ANN]
    assert change({"op": "rename_column", "column": "mail", "name": "email"}).status == 409
    assert change({"op": "widen_column", "column": "weight", "type": "text"}).status == 409
    again = {k: v for k, v in row(2, BOB).items() if k != "email"} | {"mail": "m", "phone": "1"}
    assert _insert(invoke, [again]).status == 201
    assert _query(invoke, phone="eq.1").json["items"][0]["id"] == 2
    dropped = change(
        {"op": "deprecate_column", "column": "phone", "reason": "x"},
        {"op": "drop_column", "column": "phone"},
    )
    assert dropped.status == 200, dropped.body
    assert "phone" not in _query(invoke).json["items"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"key": []},
        {"key": ["email"]},
        {"subject": "email"},
        {"unique": [["email"]]},
        {"indexes": [["email"]]},
        {"references": [{"columns": ["email"], "dataset": "patients"}]},
        {"event_time": "born"},
    ],
)
def test_encrypted_columns_cannot_be_what_their_values_are_needed_for(
    database: str, invoke: Invoker, changes: dict[str, Any]
) -> None:
    # When
    answer = invoke("lake.create_dataset", body=DEFINITION | changes)
    # Then
    assert answer.status == 422, answer.body
    assert "encrypted" in answer.body or "contain" in answer.body
