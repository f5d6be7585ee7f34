"""Event sources: queues, schedules and buckets call functions."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from infrastructure.local.catalog import Catalog, QueueMapping, Schedule, StorageNotification
from infrastructure.local.data_plane.asynchronous import AsynchronousInvoker
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Settings
from infrastructure.local.event_sources.rabbitmq import QueueSource
from infrastructure.local.event_sources.schedules import ScheduleSource
from infrastructure.local.event_sources.storage import StorageSource
from infrastructure.local.event_sources.thread_source import ThreadSource

STOP_SECONDS = 3.0


class EventSources:
    """Runs the event sources of the catalog it was last given."""

    def __init__(
        self, runner: Runner, asynchronous: AsynchronousInvoker, settings: Settings
    ) -> None:
        self._runner = runner
        self._asynchronous = asynchronous
        self._settings = settings
        self._queues: dict[QueueMapping, QueueSource] = {}
        self._schedules: dict[Schedule, ScheduleSource] = {}
        self._storage: StorageSource | None = None
        self._notifications: tuple[StorageNotification, ...] = ()
        self._ending: list[ThreadSource] = []

    def apply(self, catalog: Catalog) -> None:
        """Start what is new, stop what is gone or changed, leave the rest as it is."""
        queues = {item for item in catalog.queues if item.enabled}
        for mapping in self._queues.keys() - queues:
            self._end(self._queues.pop(mapping))
        for mapping in queues - self._queues.keys():
            source = QueueSource(
                mapping, self._settings.amqp_url, self._runner, asyncio.get_running_loop()
            )
            self._queues[mapping] = source
            source.start()
        schedules = {item for item in catalog.schedules if item.enabled}
        for schedule in self._schedules.keys() - schedules:
            self._schedules.pop(schedule).stop()
        for schedule in schedules - self._schedules.keys():
            clock = ScheduleSource(schedule, catalog, self._asynchronous)
            self._schedules[schedule] = clock
            clock.start()
        if catalog.storage != self._notifications:
            self._notifications = catalog.storage
            if self._storage is not None:
                self._end(self._storage)
            self._storage = self._new_storage(catalog)
        elif self._storage is not None:
            self._storage.renew()

    def status(self) -> dict[str, Any]:
        """Return the state of every source."""
        return {
            "queues": [source.status() for source in self._queues.values()],
            "schedules": [source.status() for source in self._schedules.values()],
            "storage": self._storage.status() if self._storage else None,
        }

    async def close(self) -> None:
        """Stop all sources; a batch in hand goes back to its queue."""
        for schedule in self._schedules.values():
            schedule.stop()
        for queue in self._queues.values():
            self._end(queue)
        if self._storage is not None:
            self._end(self._storage)
        limit = time.monotonic() + STOP_SECONDS
        for source in self._ending:
            await asyncio.to_thread(source.join, max(limit - time.monotonic(), 0.05))

    def _end(self, source: ThreadSource) -> None:
        source.stop()
        self._ending.append(source)

    def _new_storage(self, catalog: Catalog) -> StorageSource | None:
        if not catalog.storage:
            return None
        source = StorageSource(
            catalog.storage,
            aws_endpoint=self._settings.aws_endpoint,
            region=catalog.region,
            environment=self._settings.environment,
            asynchronous=self._asynchronous,
        )
        source.start()
        return source
