"""A consumer is handed a message only if the policy lets its tenant's services read it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.invoking import run
from tests.support.samples import rmq_event

OPERATION = "stream.store_event"
DONE = {"done": 1, "retry": 0, "dead": 0, "duplicate": 0}
DEAD = {"done": 0, "retry": 0, "dead": 1, "duplicate": 0}


def _deliver(body_tenant: str | None, header_tenant: str | None) -> Any:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t.u"}
    if body_tenant is not None:
        event["tenant"] = body_tenant
    headers = {"principal": "user:ada"}
    if header_tenant is not None:
        headers["tenant"] = header_tenant
    message = {"message_id": "m", "body": json.dumps(event).encode(), "headers": headers}
    return run(OPERATION, rmq_event(OPERATION, [message]))


def _stored(database: str, tenant: str) -> int:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', %s, true)", (tenant,))
        found = connection.execute("SELECT count(*) FROM stream.events").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("body", ["acme", None])
def test_a_tenants_own_event_arrives(database: str, no_broker: None, body: str | None) -> None:
    # Given / When
    outcomes = _deliver(body, "acme")
    # Then
    assert outcomes == DONE
    assert (_stored(database, "acme"), _stored(database, "public")) == (1, 0)


@pytest.mark.parametrize(
    ("body", "header"),
    [("acme", "umbrella"), ("acme", None), ("*", "acme"), ("acme", "*"), ("*", "*"), (None, "*")],
)
def test_an_event_of_another_tenant_does_not(
    database: str, no_broker: None, body: str | None, header: str | None
) -> None:
    # Given a message that someone has put into the broker by hand / When
    outcomes = _deliver(body, header)
    # Then nobody has it, and an operator finds out why
    assert outcomes == DEAD
    assert [_stored(database, name) for name in ("acme", "umbrella", "public", "*")] == [0] * 4
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT headers->>'dead-reason' FROM platform.outbox").fetchone()
    assert row is not None
    assert row[0].startswith("forbidden: ")
