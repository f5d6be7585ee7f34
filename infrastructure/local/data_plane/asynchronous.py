"""Asynchronous invocations: accepted at once, tried again when they fail, given up in the end."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass

from infrastructure.local.data_plane.invocation import Outcome, ThrottledError, UnknownFunctionError
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Limits

LOGGER = logging.getLogger(__name__)
THROTTLE_DELAY_SECONDS = 1.0


@dataclass(slots=True)
class AsynchronousCounts:
    """What became of a function's asynchronous events."""

    accepted: int = 0
    succeeded: int = 0
    retried: int = 0
    dropped: int = 0
    waiting: int = 0


class AsynchronousInvoker:
    """Runs events in the background, as Lambda does with the invocation type Event.

    Events live in memory: what has been accepted is lost when the data plane is killed.
    """

    def __init__(self, runner: Runner, limits: Limits) -> None:
        self._runner = runner
        self._limits = limits
        self._tasks: set[asyncio.Task[bool]] = set()
        self._counts: defaultdict[str, AsynchronousCounts] = defaultdict(AsynchronousCounts)

    def submit(
        self, name: str, payload: bytes, *, identifier: str | None = None
    ) -> asyncio.Task[bool]:
        """Accept an event for a function; the task tells whether it succeeded in the end.

        Raises `UnknownFunctionError`.
        """
        function = self._runner.pool(name).function.name
        task = asyncio.get_running_loop().create_task(
            self._run(function, payload, identifier or str(uuid.uuid4()))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def counts(self, function: str) -> dict[str, int]:
        """Return what became of a function's events."""
        return asdict(self._counts[function])

    async def close(self) -> None:
        """Give up what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, function: str, payload: bytes, identifier: str) -> bool:
        counts = self._counts[function]
        counts.accepted += 1
        counts.waiting += 1
        try:
            return await self._try(function, payload, identifier, counts)
        finally:
            counts.waiting -= 1

    async def _try(
        self, function: str, payload: bytes, identifier: str, counts: AsynchronousCounts
    ) -> bool:
        accepted = time.monotonic()
        delays = list(self._limits.retry_delays)
        reason = "it is too old"
        while time.monotonic() - accepted < self._limits.event_age_seconds:
            try:
                outcome: Outcome = await self._runner.invoke(
                    function, payload, identifier=identifier
                )
            except ThrottledError:
                # Not a failure of the function: it is tried for as long as the event is young.
                await asyncio.sleep(THROTTLE_DELAY_SECONDS)
                continue
            except UnknownFunctionError:
                reason = "the function is gone"
                break
            if not outcome.error:
                counts.succeeded += 1
                return True
            reason = outcome.payload[:500].decode("utf-8", "replace")
            if not delays:
                break
            counts.retried += 1
            await asyncio.sleep(delays.pop(0))
        counts.dropped += 1
        LOGGER.error("Event %s for %s is given up: %s", identifier, function, reason)
        return False
