"""lake.erase_person: afterwards nobody can read what was known, rows stay, and the audit chain verifies."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest
from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake.privacy.data_keys import DataKeys

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import (
    ANN,
    BOB,
    DEFINITION,
    EMAIL,
    IBAN,
    everything_stored,
    row,
)
from tests.support.rest import Rest
from tests.unit.lake.conftest import Insert

OPERATION = "lake.erase_person"
NAMED = {"name": "name", "type": "text", "sensitivity": "personal"}
ALIAS = {"name": "alias", "type": "text", "sensitivity": "personal", "nullable": False}


@pytest.fixture
def patients(database: str, invoke: Invoker, insert: Insert) -> str:
    """Make datasets about two persons and return the database's URL."""
    definition = DEFINITION | {"columns": [*DEFINITION["columns"], NAMED, ALIAS]}
    visits = {
        "name": "visits",
        "key": ["id"],
        "columns": [{"name": "id", "type": "integer"}, {"name": "at", "type": "date"}],
    }
    for body in (definition, visits):
        assert invoke("lake.create_dataset", body=body).status == 201
    people = [(1, ANN), (2, BOB), (3, ANN)]
    rows = [row(number, who, name=f"name of {who}", alias="x") for number, who in people]
    assert insert("patients", rows).status == 201
    return database


def _erase(invoke: Invoker, subject: str) -> Answer:
    return invoke(OPERATION, body={"subject": subject})


def _items(invoke: Invoker, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = invoke(
        "lake.query_records", path={"dataset": "patients"}, query=query
    ).json["items"]
    return found


def test_the_sample_erases_nobody_who_is_unknown(database: str, invoke: Invoker) -> None:
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 200, answer.body
    assert (answer.json["keys_destroyed"], answer.json["datasets"]) == (0, [])


def test_what_was_known_is_gone_and_all_else_stays(
    patients: str, invoke: Invoker, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a copy of the cells, as an archive or a backup of the table would have it
    archived = everything_stored(patients)
    # When
    answer = _erase(invoke, ANN)
    # Then
    assert answer.status == 200, answer.body
    assert answer.json["keys_destroyed"] == 1
    assert answer.json["datasets"] == [
        {
            "dataset": "patients",
            "rows": 2,
            "emptied": ["name"],
            "left": ["alias"],
            "archives": 0,
        }
    ]
    rows = _items(invoke, order="id")
    unknown = dict.fromkeys(("email", "iban", "notes", "born", "weight", "name"))
    for place in (0, 2):
        assert {name: rows[place][name] for name in unknown} == unknown
        assert (rows[place]["person"], rows[place]["ward"]) == (ANN, "A")
    assert (rows[1]["email"], rows[1]["name"]) == (EMAIL[BOB], f"name of {BOB}")
    assert Rest()("patients", id="eq.1").json[0]["email"] is None
    # and a guess is not confirmed
    assert _items(invoke, email=f"eq.{EMAIL[ANN]}") == []
    assert len(_items(invoke, email=f"eq.{EMAIL[BOB]}")) == 1
    known = [EMAIL[ANN], IBAN[ANN], "penicillin"]
    seen = archived + everything_stored(patients) + "".join(capfd.readouterr())
    assert not [value for value in known if value in seen]
    with psycopg.connect(patients) as connection:
        connection.execute("SET datapunk.tenant = 'public'")
        kept = connection.execute(
            "SELECT count(*) FROM lake.data_keys WHERE erased_at IS NOT NULL AND wrapped IS NULL"
        ).fetchone()
    assert kept == (1,)


def test_it_is_audited_without_naming_anybody_and_the_chain_verifies(
    patients: str, invoke: Invoker
) -> None:
    # When
    person = _erase(invoke, ANN).json["person"]
    # Then
    records = invoke("nexus.list_audit", query={"action": OPERATION}).json["items"]
    assert [record["resource"] for record in records] == [f"person/{person}"]
    assert records[0]["detail"] == {"keys": 1, "datasets": 1, "rows": 2, "quarantined": 0}
    assert ANN not in str(records)
    verified = invoke("nexus.verify_audit")
    assert verified.status == 200
    assert (verified.json["whole"], verified.json["complete"]) == (True, True), verified.body


def test_what_is_written_later_has_a_new_key(
    patients: str, invoke: Invoker, insert: Insert
) -> None:
    # Given
    assert _erase(invoke, ANN).status == 200
    # When
    assert insert("patients", [row(4, ANN, name="back", alias="x")]).status == 201
    # Then
    assert [item["email"] for item in _items(invoke, order="id")] == [
        None, EMAIL[BOB], None, EMAIL[ANN],
    ]  # fmt: skip
    assert _erase(invoke, ANN).json["keys_destroyed"] == 1
    assert _items(invoke, id="eq.4")[0]["email"] is None


def test_an_erasure_waits_for_writers_at_work(patients: str, invoke: Invoker) -> None:
    # Given a writer who holds the person's key
    with transaction(Caller(principal="user:x", tenant="public")) as tx:
        DataKeys(tx).of_persons([ANN])
        # When, on another connection
        with psycopg.connect(patients) as other:
            other.execute("SET datapunk.tenant = 'public'")
            other.execute("SET statement_timeout = '60s'")
            erase = "UPDATE lake.data_keys SET wrapped = NULL, wrapped_by = NULL, erased_at = now()"
            thread = threading.Thread(
                target=lambda: other.execute(f"{erase} WHERE kind = 'person'".encode())
            )
            thread.start()
            waiting = _is_waiting(patients)
            still_there = DataKeys(tx).of_persons([ANN])
            tx.connection.execute("COMMIT")
            thread.join(timeout=30)
            finished = not thread.is_alive()
            other.rollback()
            tx.connection.execute("BEGIN")
    # Then
    assert waiting
    assert ANN in still_there
    assert finished


def _is_waiting(database: str) -> bool:
    deadline = time.monotonic() + 20
    with psycopg.connect(database, autocommit=True) as connection:
        while time.monotonic() < deadline:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ).fetchone()
            if found and found[0]:
                return True
            time.sleep(0.02)
    return False


def test_who_may_not_erase_is_refused(patients: str, invoke: Invoker) -> None:
    # When
    answer = invoke(
        OPERATION, body={"subject": ANN}, tenant="public", roles="editor", scopes="read write"
    )
    # Then
    assert answer.status == 403
    assert _items(invoke, id="eq.1")[0]["email"] == EMAIL[ANN]


def test_another_tenants_person_of_the_same_name_stays(patients: str, invoke: Invoker) -> None:
    # When
    answer = invoke(OPERATION, body={"subject": ANN}, tenant="acme", roles="admin", scopes="admin")
    # Then
    assert answer.status == 200, answer.body
    assert answer.json["keys_destroyed"] == 0
    assert _items(invoke, id="eq.1")[0]["email"] == EMAIL[ANN]
