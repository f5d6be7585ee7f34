"""Schedules: EventBridge rules and EventBridge Scheduler, fired by the clock of this machine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson

from infrastructure.local.catalog import Catalog, Schedule
from infrastructure.local.data_plane.asynchronous import AsynchronousInvoker
from infrastructure.local.data_plane.invocation import UnknownFunctionError
from infrastructure.local.event_sources.cron import InvalidScheduleError, Timetable

LOGGER = logging.getLogger(__name__)
LONGEST_SLEEP = 60.0
"""The clock may be set, or the machine sleep: look at it again after this."""


class ScheduleSource:
    """Fires one schedule. A run that is due while the last one still goes on begins after it."""

    def __init__(
        self, schedule: Schedule, catalog: Catalog, asynchronous: AsynchronousInvoker
    ) -> None:
        self.schedule = schedule
        self.runs = 0
        self.due: datetime | None = None
        self._catalog = catalog
        self._asynchronous = asynchronous
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait for the due times."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Fire no more."""
        if self._task is not None:
            self._task.cancel()

    def status(self) -> dict[str, Any]:
        """Return when the schedule is due next and how often it has run."""
        return {
            "name": self.schedule.name,
            "function": self.schedule.function,
            "expression": self.schedule.expression,
            "due": self.due.isoformat() if self.due else None,
            "runs": self.runs,
        }

    async def _run(self) -> None:
        now = datetime.now(UTC)
        try:
            timetable = Timetable(self.schedule.expression, self.schedule.timezone, now)
        except (InvalidScheduleError, KeyError) as error:  # KeyError: no such time zone
            LOGGER.warning("Schedule %s never runs: %s", self.schedule.name, error)
            return
        self.due = timetable.next(now)
        while self.due is not None:
            left = (self.due - datetime.now(UTC)).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, LONGEST_SLEEP))
                continue
            await self._fire(self.due)
            self.due = timetable.next(datetime.now(UTC))

    async def _fire(self, due: datetime) -> None:
        try:
            running = self._asynchronous.submit(
                self.schedule.function, schedule_payload(self.schedule, self._catalog, due)
            )
        except UnknownFunctionError:
            LOGGER.warning("Schedule %s: its function is gone.", self.schedule.name)
            return
        self.runs += 1
        await asyncio.shield(running)


def schedule_payload(schedule: Schedule, catalog: Catalog, due: datetime) -> bytes:
    """Return the event of a run: the schedule's own, else the default scheduled event."""
    if schedule.payload is not None:
        return schedule.payload.encode()
    kind = "rule" if schedule.source == "aws.events" else "schedule/default"
    service = "events" if schedule.source == "aws.events" else "scheduler"
    arn = f"arn:aws:{service}:{catalog.region}:{catalog.account}:{kind}/{schedule.name}"
    return orjson.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": schedule.source,
            "account": catalog.account,
            "time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": catalog.region,
            "resources": [arn],
            "detail": {},
        }
    )
