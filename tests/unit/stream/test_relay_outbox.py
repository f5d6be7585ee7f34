"""stream.relay_outbox: what waits is published, once the broker is there."""

from __future__ import annotations

import json

import psycopg
import pytest
from datapunk.errors import UnavailableError

from tests.support.invoking import Invoker
from tests.support.services import Broker

OPERATION = "stream.relay_outbox"
NOBODY = "amqp://nobody:nothing@127.0.0.1:1/%2F"


def _waiting(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM platform.outbox").fetchone()
    assert row is not None
    return int(row[0])


def test_the_sample_finds_nothing(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given / When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome == {"published": 0, "waiting": 0, "forgotten": 0}


def test_what_could_not_be_published_is_published_once(
    database: str, broker: Broker, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given records that were inserted while nobody answered
    with monkeypatch.context() as patch:
        patch.setenv("AMQP_URL", NOBODY)
        invoke("lake.create_dataset")
        assert invoke("lake.insert_records").status == 201
    assert _waiting(database) == 1
    _start_anew()
    # When
    outcomes = [invoke.sample(OPERATION) for _ in range(2)]
    # Then
    assert [outcome["published"] for outcome in outcomes] == [1, 0]
    assert _waiting(database) == 0
    ((_, body),) = broker.take("stream.store_event")
    assert json.loads(body)["type"] == "lake.records.inserted"


def test_without_a_broker_everything_stays(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    invoke("lake.insert_records")
    # When
    with pytest.raises(UnavailableError):
        invoke.sample(OPERATION)
    # Then
    assert _waiting(database) == 1


def test_another_run_at_the_same_time_is_skipped(
    database: str, broker: Broker, invoke: Invoker
) -> None:
    # Given a run that holds the lease
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO platform.lease VALUES (%s, 'other', 7, now() + interval '1 hour')",
            (OPERATION,),
        )
        # When
        skipped = invoke.sample(OPERATION)
        connection.execute("UPDATE platform.lease SET expires_at = now()")
        taken = invoke.sample(OPERATION)
        row = connection.execute("SELECT token FROM platform.lease").fetchone()
    # Then
    assert skipped == {"skipped": True}
    assert taken["published"] == 0
    assert row == (8,)


def test_old_outcomes_are_forgotten(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given
    with psycopg.connect(database, autocommit=True) as connection:
        for days in (1, 8):
            connection.execute(
                "INSERT INTO platform.inbox VALUES ('c', %s, 1, 'done', now() - %s * interval '1 day')",
                (str(days), days),
            )
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome["forgotten"] == 1


def _start_anew() -> None:
    from datapunk.broker import connection
    from datapunk.settings import settings

    settings.cache_clear()
    connection.reset()


def test_keys_of_calls_are_forgotten_after_a_day(
    database: str, broker: Broker, invoke: Invoker
) -> None:
    # Given one of yesterday and one of today
    insert = (
        "INSERT INTO platform.idempotency (tenant, principal, operation, key, digest, created_at)"
        " VALUES ('public', 'user:ann', 'lake.create_dataset', %s, '', now() - %s::interval)"
    )
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', false)")
        connection.execute("SELECT set_config('datapunk.principal', 'user:ann', false)")
        connection.execute(insert, ("old", "25 hours"))
        connection.execute(insert, ("new", "23 hours"))
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome["forgotten"] == 1
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', false)")
        connection.execute("SELECT set_config('datapunk.principal', 'user:ann', false)")
        rows = connection.execute("SELECT key FROM platform.idempotency").fetchall()
    assert rows == [("new",)]
