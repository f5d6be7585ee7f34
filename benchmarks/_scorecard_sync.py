"""The scorecard's row of data synchronization: how long a write and an event take to arrive elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg
from datapunk.cache.local import LOCAL
from datapunk.cache.namespaces import NAMESPACES
from datapunk.cache.reading import read
from datapunk.database import transaction
from datapunk.identity import Caller

from benchmarks._scorecard_calls import (
    PROCESSES,
    become_environment,
    end_environments,
    start_environments,
)
from benchmarks._support import percentile
from infrastructure.local.catalog import QueueMapping
from infrastructure.local.data_plane.invocation import Outcome
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.event_sources.rabbitmq import QueueSource
from tests.support.invoking import Invoker, run
from tests.support.notes import CACHED, NOTES, TABLE, TENANT, write_note
from tests.support.services import Broker, Instance

NUMBER = 60
"""Writes, and events."""
KEYS = [f"note-{number}" for number in range(NUMBER)]
QUEUE = "stream.store_event"
WINDOW = 1.0
"""Seconds that the mapping of the queue waits for a batch to fill, as template.yaml says."""
_GIVE_UP = 60.0


def write_delays() -> tuple[list[float], list[float]]:
    """Return the seconds from writes until two other environments read what was written.

    The first holds the value of before in its memory, as one that reads all the time does; the second holds
    nothing. The time begins with the write's call, not with its end.
    """
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(TABLE)
    NAMESPACES[NOTES.name] = NOTES
    for key in KEYS:
        write_note(key, "before")
    ready, found = PROCESSES.Barrier(3), [PROCESSES.Queue(), PROCESSES.Queue()]
    readers = [
        PROCESSES.Process(target=_read_until_new, args=(remembers, ready, queue), daemon=True)
        for remembers, queue in zip((True, False), found, strict=True)
    ]
    start_environments(readers)
    try:
        # The first write connects and takes longer than those of an environment that is at work.
        write_note("warm-up", "before")
        ready.wait(_GIVE_UP)
        began = {}
        for key in KEYS:
            began[key] = time.monotonic()
            write_note(key, "after")
            time.sleep(0.08)
        held, empty = (queue.get(timeout=_GIVE_UP) for queue in found)
    finally:
        end_environments(readers)
    return [held[key] - began[key] for key in KEYS], [empty[key] - began[key] for key in KEYS]


def _read_until_new(remembers: bool, ready: Any, found: Any) -> None:  # noqa: FBT001
    become_environment()
    for key in KEYS:
        read(CACHED, TENANT, key)
    ready.wait(_GIVE_UP)
    seen: dict[str, float] = {}
    end = time.monotonic() + _GIVE_UP
    while len(seen) < NUMBER and time.monotonic() < end:
        if not remembers:
            LOCAL.clear()
        for key in KEYS:
            if key not in seen and read(CACHED, TENANT, key).value == "after":
                seen[key] = time.monotonic()
        time.sleep(0.01)
    found.put(seen)


def event_delays(instance: Instance) -> list[float]:
    """Return the seconds from the request that publishes an event until its consumer's row is committed.

    The broker, the event source of the local platform with the template's batch size and window, and the
    handlers are the real ones. Ends the run unless each event is stored once.
    """
    os.environ["AMQP_URL"] = instance.new_virtual_host()
    Broker(os.environ["AMQP_URL"]).declare()
    found: Any = PROCESSES.Queue()
    consumer = PROCESSES.Process(target=_consume, args=(found,), daemon=True)
    start_environments([consumer])
    publish = Invoker()
    stored: dict[str, float] = {}
    began: dict[str, float] = {}
    chance = random.Random(1)  # noqa: S311 -- no secret
    try:
        _publish(publish, "warm-up")
        while "warm-up" not in stored:
            stored.update(found.get(timeout=_GIVE_UP))
        for number in range(NUMBER):
            began[f"event-{number}"] = time.monotonic()
            _publish(publish, f"event-{number}")
            time.sleep(chance.uniform(0.02, 0.2))
        while not began.keys() <= stored.keys():
            stored.update(found.get(timeout=_GIVE_UP))
    finally:
        end_environments([consumer])
    with transaction(Caller("user:tester", "public")) as tx:
        counted = tx.value("SELECT count(*) FROM stream.events")
    if counted != NUMBER + 1:
        raise SystemExit(f"{counted} events are stored instead of {NUMBER + 1}.")
    return [stored[name] - at for name, at in began.items()]


def _publish(publish: Invoker, name: str) -> None:
    event = {"specversion": "1.0", "id": name, "source": "/scorecard", "type": "com.example.tick"}
    answered = publish(
        "stream.publish_event", body=event, content_type="application/cloudevents+json"
    )
    if answered.status != 202:  # noqa: PLR2004
        raise SystemExit(f"An event was answered with {answered.status}: {answered.body}")


class _Handler:
    """Stands where the runner's processes are: runs the queue's function here, and says when it is done."""

    def __init__(self, tell: Callable[[dict[str, float]], None]) -> None:
        self._tell = tell

    async def invoke(self, _function: str, payload: bytes) -> Outcome:
        return await asyncio.to_thread(self._handle, json.loads(payload))

    def _handle(self, event: dict[str, Any]) -> Outcome:
        outcome = run(QUEUE, event)
        now = time.monotonic()
        batch = [item for items in event["rmqMessagesByQueue"].values() for item in items]
        self._tell({json.loads(b64decode(item["data"]))["id"]: now for item in batch})
        return Outcome(json.dumps(outcome).encode())


def _consume(found: Any) -> None:
    become_environment()
    asyncio.run(_consume_for(_GIVE_UP * 2, _Handler(found.put)))


async def _consume_for(seconds: float, handler: _Handler) -> None:
    url = os.environ["AMQP_URL"]
    mapping = QueueMapping(
        id="scorecard",
        function=QUEUE,
        broker_arn="arn:aws:mq:us-east-1:000000000000:broker:scorecard:b-1",
        queue=QUEUE,
        virtual_host=urlsplit(url).path.lstrip("/"),
        batch_size=100,
        window=WINDOW,
    )
    source = QueueSource(mapping, url, cast("Runner", handler), asyncio.get_running_loop())
    source.start()
    await asyncio.sleep(seconds)


def p95(delays: list[float]) -> float:
    """Return the 95th percentile."""
    return percentile(delays, 0.95)
