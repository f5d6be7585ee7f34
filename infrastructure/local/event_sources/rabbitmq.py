"""The event source of a RabbitMQ queue: batches go to one function, one batch at a time.

One thread per mapping holds the connection (pika's blocking one) and hands batches to the event
loop. Messages are acknowledged when the function has returned, and go back to the queue when it
failed, after a growing pause; so nothing is lost and nothing is burnt while a dependency is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pika
from pika.exceptions import ConsumerCancelled

from infrastructure.local.catalog import QueueMapping
from infrastructure.local.data_plane.invocation import (
    Outcome,
    ThrottledError,
    UnknownFunctionError,
)
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.event_sources.filters import Filters
from infrastructure.local.event_sources.rabbitmq_event import Message, rabbitmq_event
from infrastructure.local.event_sources.thread_source import ThreadSource

LOGGER = logging.getLogger(__name__)
PAYLOAD_BYTES = 6 * 1024 * 1024
ENVELOPE_BYTES = 1024
"""What a message costs in the event beside its data."""
WAITING = "waiting"
"""State of a mapping without broker or queue."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Pauses before a failed batch goes back to its queue."""
FIRST_RETRY = 0.25
LONGEST_RETRY = 5.0
"""Pauses between attempts to reach broker or queue."""
STOP_SECONDS = 2.0
"""How long a batch in hand may go on after the end has been called for."""
POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 30
CONNECT_SECONDS = 5


@dataclass(slots=True)
class QueueCounts:
    """What a mapping has done."""

    batches: int = 0
    messages: int = 0
    failures: int = 0
    filtered: int = 0


class StoppedError(Exception):
    """The mapping is to end."""


class QueueSource(ThreadSource):
    """Consumes one queue for one function, from `start` to `stop`."""

    def __init__(
        self, mapping: QueueMapping, url: str, runner: Runner, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(f"queue {mapping.queue}")
        self.mapping = mapping
        self.counts = QueueCounts()
        self._url = url
        self._runner = runner
        self._loop = loop
        self._filters = Filters(mapping.filters)
        self._cancelled = threading.Event()
        """The broker has ended the consumer: its queue is gone."""

    def status(self) -> dict[str, Any]:
        """Return what the mapping does and has done."""
        return {
            "queue": self.mapping.queue,
            "function": self.mapping.function,
            "state": self.state,
            "batches": self.counts.batches,
            "messages": self.counts.messages,
            "failures": self.counts.failures,
            "filtered": self.counts.filtered,
        }

    def _run(self) -> None:
        pause = FIRST_RETRY
        said = ""
        while not self._stop.is_set():
            try:
                with contextlib.closing(self._connect()) as connection:
                    self._consume(connection)
            except StoppedError:
                break
            except Exception as error:  # noqa: BLE001 - nothing may end a mapping but its removal
                if not self.state.startswith(WAITING):
                    pause, said = FIRST_RETRY, ""
                self.state = f"{WAITING}: {type(error).__name__}"
                if self.state != said:
                    said = self.state
                    LOGGER.warning("Queue %s: %r; trying again.", self.mapping.queue, error)
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_RETRY)
        self.state = "stopped"

    def _connect(self) -> pika.BlockingConnection:
        parameters = pika.URLParameters(self._url)
        parameters.virtual_host = self.mapping.virtual_host
        parameters.heartbeat = HEARTBEAT_SECONDS
        parameters.socket_timeout = CONNECT_SECONDS
        parameters.blocked_connection_timeout = CONNECT_SECONDS
        parameters.client_properties = {"connection_name": f"event source {self.mapping.id}"}
        return pika.BlockingConnection(parameters)

    def _consume(self, connection: pika.BlockingConnection) -> None:
        """Take batches to the function until told to stop or the connection breaks."""
        mapping = self.mapping
        channel = connection.channel()
        channel.basic_qos(prefetch_count=mapping.batch_size)
        arrived: list[Message] = []

        def take(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
            arrived.append(Message(method.delivery_tag, method.redelivered, properties, body))

        channel.add_on_cancel_callback(lambda _: self._cancelled.set())
        self._cancelled.clear()
        channel.basic_consume(mapping.queue, take)
        self.state = "consuming"
        pause = FIRST_PAUSE
        while True:
            batch = self._collect(connection, arrived)
            wanted = [message for message in batch if self._filters.passes(message.body)]
            self.counts.filtered += len(batch) - len(wanted)
            if wanted and not self._deliver(connection, wanted):
                self.state = f"retrying in {pause:.0f} s"
                self._sleep(connection, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                self._settle(channel, batch, done=False)
                self.state = "consuming"
                continue
            pause = FIRST_PAUSE
            self._settle(channel, batch, done=True)

    def _collect(
        self, connection: pika.BlockingConnection, arrived: list[Message]
    ) -> list[Message]:
        """Return the next batch: full, or its window has passed, or its event is large enough."""
        while not arrived:
            self._check()
            connection.process_data_events(time_limit=POLL_SECONDS * 4)
        close = time.monotonic() + self.mapping.window
        while len(arrived) < self.mapping.batch_size:
            left = close - time.monotonic()
            if left <= 0 or _fitting(arrived) < len(arrived):
                break
            self._check()
            connection.process_data_events(time_limit=min(left, POLL_SECONDS))
        count = min(_fitting(arrived), self.mapping.batch_size)
        batch, arrived[:] = arrived[:count], arrived[count:]
        return batch

    def _deliver(self, connection: pika.BlockingConnection, batch: list[Message]) -> bool:
        """Run the function on a batch while keeping the connection alive; True if it succeeded."""
        mapping = self.mapping
        event = rabbitmq_event(
            batch,
            queue=mapping.queue,
            virtual_host=mapping.virtual_host,
            broker_arn=mapping.broker_arn,
        )
        running = asyncio.run_coroutine_threadsafe(
            self._invoke(mapping.function, orjson.dumps(event)), self._loop
        )
        done = threading.Event()
        running.add_done_callback(lambda _: done.set())
        give_up: float | None = None
        while not done.wait(POLL_SECONDS):
            if self._stop.is_set():
                give_up = give_up or time.monotonic() + STOP_SECONDS
                if time.monotonic() > give_up:
                    raise StoppedError
            connection.process_data_events(time_limit=0)
        outcome = running.result()
        self.counts.batches += 1
        self.counts.messages += len(batch)
        if outcome is not None and not outcome.error:
            return True
        self.counts.failures += 1
        reason = outcome.payload[:300].decode("utf-8", "replace") if outcome else "not run"
        LOGGER.warning("Queue %s: %s failed: %s", mapping.queue, mapping.function, reason)
        return False

    async def _invoke(self, function: str, payload: bytes) -> Outcome | None:
        try:
            return await self._runner.invoke(function, payload)
        except (ThrottledError, UnknownFunctionError):
            return None

    def _settle(self, channel: Any, batch: Sequence[Message], *, done: bool) -> None:
        """Acknowledge a batch, or give it back. Tags grow: its last one stands for all of it."""
        if done:
            channel.basic_ack(batch[-1].tag, multiple=True)
        else:
            channel.basic_nack(batch[-1].tag, multiple=True, requeue=True)

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoppedError
        if self._cancelled.is_set():
            raise ConsumerCancelled

    def _sleep(self, connection: pika.BlockingConnection, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check()
            connection.process_data_events(time_limit=POLL_SECONDS * 4)


def _fitting(messages: Sequence[Message]) -> int:
    """How many of the messages fit into one event; the first always does."""
    size = 0
    for count, message in enumerate(messages):
        size += len(message.body) * 4 // 3 + ENVELOPE_BYTES
        if size > PAYLOAD_BYTES and count > 0:
            return count
    return len(messages)
