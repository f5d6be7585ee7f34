"""What Lambda's mapping does with a queue: a batch, a function, all acknowledged or all returned."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pika

from tests.support.samples import PROJECT, rmq_event
from tests.support.services import Broker

WINDOW_SECONDS = 0.1
Function = Callable[[dict[str, Any]], dict[str, int]]


class KilledError(Exception):
    """The function's process was ended."""


@dataclass
class QueueMapping:
    """A mapping of one queue; `poll` is one batch."""

    broker: Broker
    queue: str
    size: int = 100

    def publish(
        self, body: Any, *, message_id: str | None = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Send a message to the queue."""
        properties = pika.BasicProperties(
            message_id=message_id, headers=dict(headers or {}) or None, delivery_mode=2
        )
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.broker.channel() as channel:
            channel.basic_publish("service.commands", self.queue, content, properties)

    def poll(self, function: Function) -> dict[str, int] | None:
        """Run the function with what waits; None when nothing does.

        When the function fails the whole batch goes back, and comes again marked as redelivered.
        """
        with self.broker.channel() as channel:
            channel.basic_qos(prefetch_count=self.size)
            found: list[tuple[Any, Any, bytes]] = []
            for delivered in channel.consume(self.queue, inactivity_timeout=WINDOW_SECONDS):
                if delivered[0] is not None:
                    found.append(delivered)
                if delivered[0] is None or len(found) == self.size:
                    break
            if not found:
                return None
            last = found[-1][0].delivery_tag
            try:
                outcomes = function(self._event(found))
            except BaseException:
                channel.basic_nack(last, multiple=True, requeue=True)
                raise
            channel.basic_ack(last, multiple=True)
            return outcomes

    def _event(self, found: list[tuple[Any, Any, bytes]]) -> dict[str, Any]:
        event: dict[str, Any] = {"eventSource": "aws:rmq", "rmqMessagesByQueue": {}}
        records: list[Any] = []
        for method, properties, body in found:
            message = {
                "body": body,
                "message_id": properties.message_id,
                "headers": properties.headers or {},
                "content_type": properties.content_type,
            }
            one = rmq_event(self.queue, [message], redelivered=method.redelivered)
            records += one["rmqMessagesByQueue"][f"{self.queue}::/"]
        event["rmqMessagesByQueue"][f"{self.queue}::/"] = records
        return event


def in_own_process(*, kill_after: int | None = None, kill_within: float | None = None) -> Function:
    """Return a function that runs `trial` in a process of its own.

    It ends itself after `kill_after` messages, or is ended within `kill_within` seconds of its work.
    Raises KilledError when it was.
    """

    def run(event: dict[str, Any]) -> dict[str, int]:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.trial"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT}/layers/common"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stderr is not None
            child.stdin.write(json.dumps({"event": event, "kill_after": kill_after}))
            child.stdin.close()
            child.stdin = None
            assert child.stderr.readline() == "working\n"
            if kill_within is not None:
                threading.Timer(random.uniform(0, kill_within), child.kill).start()  # noqa: S311 -- no secret
            output, errors = child.communicate(timeout=60)
        if child.returncode < 0:
            raise KilledError
        assert child.returncode == 0, errors
        outcomes: dict[str, int] = json.loads(output.splitlines()[-1])
        return outcomes

    return run


def drain(mapping: QueueMapping, function: Function, *, until: Callable[[], bool]) -> None:
    """Poll until the condition holds; what waits in delay queues arrives meanwhile."""
    give_up = time.monotonic() + 60
    while not until():
        assert time.monotonic() < give_up, "the condition never held"
        mapping.poll(function)
