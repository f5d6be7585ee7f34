"""lake.rotate_data_keys: new values get new keys after 30 days, and old ones stay readable."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from datapunk.context import WorkContext, continue_correlation, continue_trace, working
from datapunk.identity import Caller
from datapunk.lake.privacy import data_keys
from datapunk.lake.privacy.rotation import rotate_data_keys

from tests.support.invoking import Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, EMAIL, row
from tests.unit.lake.conftest import Insert

OPERATION = "lake.rotate_data_keys"


def _keys(database: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("SET datapunk.tenant = 'public'")
        return connection.execute("SELECT * FROM lake.data_keys ORDER BY id").fetchall()


def _month_later(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("SET datapunk.tenant = 'public'")
        connection.execute(
            "UPDATE lake.data_keys SET created_at = created_at - interval '31 days',"
            " wrapped_at = wrapped_at - interval '31 days'"
        )


@pytest.fixture
def patients(database: str, invoke: Invoker, insert: Insert) -> str:
    """Make a dataset about two persons, and one about nobody, and return the database's URL."""
    plain = {**DEFINITION, "name": "wards", "subject": None}
    for definition in (DEFINITION, plain):
        assert invoke("lake.create_dataset", body=definition).status == 201
        assert insert(definition["name"], [row(1, ANN), row(2, BOB)]).status == 201
    return database


def _emails(invoke: Invoker, dataset: str) -> list[str]:
    answer = invoke("lake.query_records", path={"dataset": dataset}, query={"order": "id"})
    return [item["email"] for item in answer.json["items"]]


def test_the_sample_finds_nothing_to_do(database: str, invoke: Invoker) -> None:
    assert invoke.sample(OPERATION) == {"tenants": 0, "own": 0, "persons": 0, "left": False}


def test_keys_rotate_and_old_values_stay_readable(
    patients: str, invoke: Invoker, insert: Insert
) -> None:
    # Given keys that are a month old
    before = _keys(patients)
    assert [key["kind"] for key in before].count("person") == 2
    _month_later(patients)
    # When
    outcome = invoke.sample(OPERATION)
    again = invoke.sample(OPERATION)
    # Then
    assert outcome == {"tenants": 1, "own": 2, "persons": 2, "left": False}
    assert (again["own"], again["persons"]) == (0, 0)
    after = {key["id"]: key for key in _keys(patients)}
    newest = max(key["id"] for key in after.values() if key["kind"] == "tenant")
    for key in before:
        assert after[key["id"]]["wrapped"] != key["wrapped"]
        if key["kind"] == "person":
            assert after[key["id"]]["wrapped_by"] == newest
    data_keys._unwrapped.clear()  # as a new environment
    for dataset in ("patients", "wards"):
        assert _emails(invoke, dataset) == [EMAIL[ANN], EMAIL[BOB]]
        assert insert(dataset, [row(3, ANN)]).status == 201
        assert _emails(invoke, dataset) == [EMAIL[ANN], EMAIL[BOB], EMAIL[ANN]]
    written_with = {key["id"] for key in _keys(patients)} - set(after)
    assert len(written_with) == 1, "the person has a new key for new values"


def test_a_large_tenant_is_done_in_parts(patients: str) -> None:
    # Given
    _month_later(patients)
    work = WorkContext(
        operation=OPERATION,
        correlation_id=continue_correlation(""),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 60,
        caller=Caller(principal=OPERATION),
    )
    # When
    with working(work):
        outcome = rotate_data_keys(batch=1)
    # Then
    assert outcome["persons"] == 2
