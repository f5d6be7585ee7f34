"""What a row that did not fit says of a person is kept as carefully as what fits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, EMAIL, PLANTED, everything_stored, row
from tests.unit.lake.conftest import Insert

PATIENTS = {"dataset": "patients"}
ASIDE = {"on_error": "quarantine"}


@pytest.fixture
def patients(database: str, no_broker: None, invoke: Invoker) -> str:
    """Make a dataset about persons and return the database's URL."""
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    return database


@pytest.fixture
def insert(invoke: Invoker) -> Insert:
    """Return `insert(rows, **query)` of patients."""

    def rows(body: Any, content_type: str = "application/json", **query: str) -> Answer:
        return invoke(
            "lake.insert_records", path=PATIENTS, body=body, content_type=content_type, query=query
        )

    return rows


def _waiting(invoke: Invoker, **caller: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = invoke("lake.list_quarantine", path=PATIENTS, **caller).json[
        "items"
    ]
    return items


def _found(invoke: Invoker, **query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = invoke("lake.query_records", path=PATIENTS, query=query).json[
        "items"
    ]
    return items


def test_what_waits_is_read_through_the_door_only(
    patients: str, invoke: Invoker, insert: Insert, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a row of JSON with a wrong type, one of CSV with a wrong width, and one without a person
    bad = row(1, ANN) | {"ward": 7}
    assert insert([bad], **ASIDE).json["quarantined"] == 1
    lines = f"id,person,email\n2,{BOB},{EMAIL[BOB]},more\n"
    assert insert(lines, "text/csv", **ASIDE).json["quarantined"] == 1
    assert insert([row(3, ANN) | {"person": None}], **ASIDE).json["reasons"] == {"string_type": 1}
    # When
    stored, shown = everything_stored(patients), _waiting(invoke)
    # Then
    assert [item["content"] for item in shown[:2]] == [bad, ["2", BOB, EMAIL[BOB], "more"]]
    said = "".join(capfd.readouterr())
    for secret in PLANTED:
        assert secret not in stored
        assert secret not in said


def test_a_row_is_corrected_and_released_into_cells(
    patients: str, invoke: Invoker, insert: Insert
) -> None:
    # Given
    insert([row(1, ANN) | {"ward": 7}], **ASIDE)
    (waiting,) = _waiting(invoke)
    path = {**PATIENTS, "row": waiting["id"]}
    # When
    corrected = invoke("lake.correct_quarantined", path=path, body=row(1, ANN))
    between = everything_stored(patients)
    released = invoke("lake.release_quarantined", path=path)
    # Then
    assert (corrected.status, corrected.json["content"]["email"]) == (200, EMAIL[ANN])
    assert (released.status, released.json["inserted"]) == (200, 1)
    assert [item["id"] for item in _found(invoke, email=f"eq.{EMAIL[ANN]}")] == [1]
    for secret in PLANTED:
        assert secret not in between
        assert secret not in everything_stored(patients)


def test_rows_are_merged_into_cells(patients: str, invoke: Invoker, insert: Insert) -> None:
    # Given
    assert insert([row(1, ANN), row(2, BOB)]).status == 201
    changed = {"id": 1, "person": ANN, "email": "new@example.com"}
    # When
    receipt = insert([changed, row(3, BOB)], on_conflict="update", **ASIDE).json
    plain = insert([row(2, BOB, ward="B")], on_conflict="update").json
    # Then
    assert (receipt["inserted"], receipt["updated"], plain["updated"]) == (1, 1, 1)
    assert _found(invoke, email=f"eq.{EMAIL[ANN]}") == []
    (found,) = _found(invoke, email="eq.new@example.com")
    assert (found["id"], found["iban"], found["ward"]) == (1, None, None)
    again = _found(invoke, email=f"eq.{EMAIL[BOB]}", order="id")
    assert [(item["id"], item["ward"]) for item in again] == [(2, "B"), (3, "A")]
    for secret in (*PLANTED, "new@example.com"):
        assert secret not in everything_stored(patients)


def test_who_is_erased_waits_no_longer(patients: str, invoke: Invoker, insert: Insert) -> None:
    # Given
    for number, person in ((1, ANN), (2, BOB), (3, ANN)):
        insert([row(number, person) | {"ward": 7}], **ASIDE)
    # When
    erased = invoke("lake.erase_person", body={"subject": ANN}).json
    # Then
    assert (erased["keys_destroyed"], erased["quarantined"]) == (1, 2)
    assert [item["content"]["id"] for item in _waiting(invoke)] == [2]


def test_whoever_sees_a_mask_sees_no_row_whole(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    masking = {"roles": {"admin": "clear"}, "others": "full"}
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "card", "type": "text", "masking": masking},
    ]
    definition = {"name": "patients", "columns": columns, "key": ["id"]}
    assert invoke("lake.create_dataset", body=definition).status == 201
    rows = [{"id": "x", "card": "4111"}]
    json_type = "application/json"
    invoke("lake.insert_records", path=PATIENTS, body=rows, query=ASIDE, content_type=json_type)
    # When
    (clear,) = _waiting(invoke, tenant="public", roles="admin", scopes="read")
    (hidden,) = _waiting(invoke, tenant="public", roles="editor", scopes="read write")
    # Then
    assert clear["content"] == {"id": "x", "card": "4111"}
    assert (hidden["content"], hidden["rule"]) == (None, "int_type")
