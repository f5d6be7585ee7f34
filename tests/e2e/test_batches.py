"""A hundred messages, three of them poison: whatever happens, each has its outcome once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pika
import psycopg
import pytest

from tests.e2e.clone import Clone, eventually, kill
from tests.e2e.processes import owner_of

QUEUE = "stream.store_event"
DEAD = f"{QUEUE}.dead"
MESSAGES = 100
POISON = {
    10: b'{"specversion": "1.0", "id"',
    50: b'{"specversion": "1.0", "source": "/batch", "type": ""}',
    90: b"\x00\xff not even text",
}
"""What three of the messages hold instead of an event, by their place."""
KILLS = (0, 49, 51, 99)
"""Places at which the function is killed while it works on that message."""

WHO_WAITS = """
SELECT client_port FROM pg_stat_activity
WHERE %s = ANY (pg_blocking_pids(pid))
"""
BLOCK = """
INSERT INTO stream.events (tenant, id, source, type, time, extensions)
VALUES (platform.current_tenant(), %s, %s, 'batch.block', now(), '{}')
"""
OUTCOMES = """
SELECT message_id, count(*), array_agg(outcome) FROM platform.inbox
WHERE consumer = %s AND message_id LIKE %s GROUP BY message_id
"""


@dataclass(frozen=True)
class Batch:
    """The messages of one test, told from all others by their name."""

    name: str

    def event_id(self, place: int) -> str:
        """Return the id of the event, and of the message, at `place`."""
        return f"{self.name}-{place:03}"

    def body(self, place: int) -> bytes:
        """Return the message at `place`."""
        if place in POISON:
            return POISON[place]
        event = {
            "specversion": "1.0",
            "id": self.event_id(place),
            "source": "/batch",
            "type": "batch.test",
            "subject": self.name,
            "time": "2026-11-21T08:00:00Z",
            "datacontenttype": "application/json",
            "data": {"place": place},
        }
        return json.dumps(event).encode()


@contextmanager
def broker(clone: Clone) -> Iterator[Any]:
    """Open a channel in confirm mode."""
    with closing(pika.BlockingConnection(pika.URLParameters(clone.endpoints["amqp"]))) as opened:
        channel = opened.channel()
        channel.confirm_delivery()
        yield channel


@pytest.fixture
def batch(vandal: Clone) -> Batch:
    """Return a batch of its own, with an empty queue for what is given up."""
    with broker(vandal) as channel:
        channel.queue_purge(DEAD)
    return Batch(f"batch-{uuid.uuid4().hex[:8]}")


def publish(clone: Clone, batch: Batch) -> None:
    """Publish the whole batch to `service.events`, as any service would."""
    with broker(clone) as channel:
        for place in range(MESSAGES):
            properties = pika.BasicProperties(
                message_id=batch.event_id(place),
                content_type="application/cloudevents+json",
                delivery_mode=2,
            )
            channel.basic_publish(
                "service.events", "batch.test", batch.body(place), properties, mandatory=True
            )


def outcomes(clone: Clone, batch: Batch) -> dict[str, tuple[int, list[str]]]:
    """Return how often each message came to an outcome, and to which."""
    with psycopg.connect(clone.endpoints["database"]) as connection:
        rows = connection.execute(OUTCOMES, (QUEUE, f"{batch.name}-%")).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def dead_letters(clone: Clone) -> dict[str, Any]:
    """Take what was given up: message id to headers, the body among them."""
    found: dict[str, Any] = {}
    with broker(clone) as channel:
        while True:
            frame, properties, body = channel.basic_get(DEAD, auto_ack=True)
            if frame is None:
                return found
            assert properties.message_id not in found, "dead-lettered twice"
            found[properties.message_id] = {**properties.headers, "body": body}


def waiting(clone: Clone) -> int:
    """Return how many messages the queue still holds, delivered or not."""
    with psycopg.connect(clone.endpoints["database"]) as connection:
        row = connection.execute("SELECT count(*) FROM platform.outbox").fetchone()
    with broker(clone) as channel:
        ready = channel.queue_declare(QUEUE, passive=True).method.message_count
    return int(ready) + (int(row[0]) if row else 0)


def waiting_client(observer: psycopg.Connection, blocker: psycopg.Connection) -> int:
    """Return the port of the client that waits for the blocker's transaction, once there is one."""
    parameters = (blocker.info.backend_pid,)
    row = eventually(lambda: observer.execute(WHO_WAITS, parameters).fetchone())
    assert row is not None
    return int(row[0])


def assert_each_once(clone: Clone, batch: Batch) -> None:
    """Assert 97 effects, 3 dead letters with reasons, and nothing twice."""
    eventually(lambda: len(outcomes(clone, batch)) == MESSAGES, seconds=60)
    decided = outcomes(clone, batch)
    for place in range(MESSAGES):
        expected = (1, ["dead" if place in POISON else "done"])
        assert decided[batch.event_id(place)] == expected, place
    answer = clone.api.get(f"/v1/stream/events?subject={batch.name}&limit=1000&order=asc").json()
    stored = sorted(event["id"] for event in answer["items"])
    assert stored == [batch.event_id(place) for place in range(MESSAGES) if place not in POISON]
    eventually(lambda: waiting(clone) == 0)
    letters = dead_letters(clone)
    assert set(letters) == {batch.event_id(place) for place in POISON}
    for place, body in POISON.items():
        letter = letters[batch.event_id(place)]
        assert letter["body"] == body
        assert letter["dead-reason"].startswith("invalid message: ")
        assert letter["dead-consumer"] == QUEUE


def test_three_poison_messages_harm_no_other(vandal: Clone, batch: Batch) -> None:
    # When
    publish(vandal, batch)
    # Then
    assert_each_once(vandal, batch)


def test_the_same_batch_again_changes_nothing(vandal: Clone, batch: Batch) -> None:
    # Given
    publish(vandal, batch)
    assert_each_once(vandal, batch)
    # When
    publish(vandal, batch)
    eventually(lambda: waiting(vandal) == 0)
    # Then
    functions = vandal.api.get("/_datapunk/functions").json()["functions"]
    eventually(lambda: functions["datapunk-local-stream-store_event"]["busy"] == 0)
    assert all(count == 1 for count, _ in outcomes(vandal, batch).values())
    answer = vandal.api.get(f"/v1/stream/events?subject={batch.name}&limit=1000").json()
    assert len(answer["items"]) == MESSAGES - len(POISON)
    assert dead_letters(vandal) == {}


@pytest.mark.timeout(180)
def test_killing_the_function_midway_changes_nothing(vandal: Clone, batch: Batch) -> None:
    # Given
    url = vandal.endpoints["database"]
    with ExitStack() as stack:
        observer = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))
        blockers = [stack.enter_context(closing(psycopg.connect(url))) for _ in KILLS]
        for place, blocker in zip(KILLS, blockers, strict=True):
            # Whoever stores the same event has to wait for this transaction.
            blocker.execute("SELECT set_config('datapunk.tenant', 'public', true)")
            blocker.execute(BLOCK, (batch.event_id(place), "/batch"))
        # When
        publish(vandal, batch)
        for blocker in blockers:
            kill(owner_of(waiting_client(observer, blocker), vandal.folder))
            blocker.rollback()
    # Then
    assert_each_once(vandal, batch)
