"""Services that stop, hang or come back: what callers see, and that nothing is lost."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import psycopg
import pytest
from datapunk.broker import connection as broker_connection
from datapunk.database import connection as database_connection

from tests.support.invoking import Answer, Invoker
from tests.support.services import Broker, Instance, eventually

pytestmark = pytest.mark.timeout(180)


def _assert_unavailable(answer: Answer, dependency: str) -> None:
    assert answer.status == 503, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["dependency"] == dependency


def test_without_postgresql_requests_are_unavailable_and_recover(
    fragile: Instance, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    operations = ["lake.query_records", "lake.list_datasets", "lake.insert_records"]
    # When
    with fragile.without("postgres"):
        answers = [invoke(operation) for operation in [*operations, "stream.list_events"]]
    # Then
    for answer in answers:
        _assert_unavailable(answer, "postgresql")
    assert invoke("lake.get_dataset").status == 200
    assert invoke("lake.insert_records").status == 201


def test_what_is_cached_is_answered_for_a_moment_without_postgresql(
    fragile: Instance, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    invoke("nexus.invalidate_cache", tenant="public", roles="admin", scopes="read write admin")
    invoke("lake.get_dataset")
    # When
    with fragile.without("postgres"):
        at_once = invoke("lake.get_dataset")
        time.sleep(5)
        later = invoke("lake.get_dataset")
    # Then
    assert (at_once.status, at_once.headers["x-cache"][:3]) == (200, "hit")
    _assert_unavailable(later, "postgresql")
    assert invoke("lake.get_dataset").status == 200


def test_a_postgresql_that_hangs_is_unavailable_in_time(fragile: Instance, invoke: Invoker) -> None:
    # Given a connection that was idle long enough to be doubted
    invoke("lake.create_dataset")
    time.sleep(1.1)
    # When
    started = time.monotonic()
    with fragile.frozen("postgres"):
        answer = invoke("lake.query_records")
        seconds = time.monotonic() - started
    # Then
    _assert_unavailable(answer, "postgresql")
    assert seconds < 15, "the caller was kept waiting until the function's end"
    assert invoke("lake.get_dataset").status == 200


def test_a_request_waits_once_for_a_postgresql_that_hangs(
    fragile: Instance, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an operation that needs the database for its limit, its work and its record
    invoke("lake.create_dataset")
    time.sleep(1.1)
    tried: list[str] = []
    connect = database_connection.connect

    def counted(url: str) -> psycopg.Connection:
        tried.append(url)
        return connect(url)

    monkeypatch.setattr(database_connection, "connect", counted)
    # When
    with fragile.frozen("postgres"):
        answer = invoke("lake.insert_records")
        in_vain = len(tried)
        again = invoke("lake.insert_records")
    # Then the next one tries for itself
    _assert_unavailable(answer, "postgresql")
    _assert_unavailable(again, "postgresql")
    assert (in_vain, len(tried)) == (1, 2)
    assert invoke("lake.insert_records").status == 201


def test_a_session_that_was_ended_between_requests_is_replaced(
    database: str, instance: Instance, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    with psycopg.connect(instance.superuser_url, autocommit=True) as server:
        ended = server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (database.rpartition("/")[2],),
        ).fetchall()
    answer = invoke("lake.get_dataset")
    # Then
    assert ended == [(True,)]
    assert answer.status == 200


def test_without_a_broker_records_and_events_are_taken_and_published_later(
    fragile: Instance, fragile_broker: Broker, invoke: Invoker
) -> None:
    # Given an environment that holds a connection
    invoke("lake.create_dataset")
    assert invoke("stream.publish_event").status == 202
    # When
    with fragile.without("rabbitmq"):
        inserted = invoke("lake.insert_records")
        published = invoke("stream.publish_event")
        health = invoke("nexus.check_health")
    broker_connection.reset()
    relayed = invoke.sample("stream.relay_outbox")
    again = invoke.sample("stream.relay_outbox")
    # Then
    assert (inserted.status, published.status) == (201, 202)
    assert [item["name"] for item in health.json["checks"] if item["status"] == "down"] == [
        "rabbitmq"
    ]
    assert (relayed["published"], again["published"]) == (2, 0)
    ((_, before), (_, body), (_, after)) = fragile_broker.take("stream.store_event")
    assert json.loads(before)["type"] == "com.example.reading"
    assert json.loads(body)["id"] == inserted.json["event_id"]
    assert json.loads(after)["id"] == published.json["ids"][0]
    assert invoke("nexus.check_health").json["status"] == "up"


def test_a_broker_connection_that_was_closed_between_requests_is_replaced(
    database: str, broker: Broker, instance: Instance, invoke: Invoker
) -> None:
    # Given
    assert invoke("stream.publish_event").status == 202
    host = broker.url.rpartition("/")[2]

    def connections() -> list[str]:
        found = instance.management("GET", f"/api/vhosts/{host}/connections")
        return [item["name"] for item in found]

    # When
    for name in eventually(connections):
        instance.management("DELETE", f"/api/connections/{quote(name, safe='')}")
    answer = invoke("stream.publish_event")
    # Then
    assert answer.status == 202
    assert len(broker.take("stream.store_event")) == 2
