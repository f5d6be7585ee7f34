"""What every service of the platform has in common, wherever it comes from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from infrastructure.local.processes import Process, ProcessError

READY_SECONDS = 3.0
"""The longest that one question about readiness may take."""
POLL_SECONDS = 0.05
MOST_STARTS = 4
_APART_SECONDS = (0.1, 1.0)


class ServiceState(StrEnum):
    """How a service is."""

    READY = "ready"
    STARTING = "starting"
    """Its process runs but does not answer: it starts, or it hangs."""
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What `status` shows of a service. `detail` is for people; `pid` is None when not ours."""

    name: str
    state: ServiceState
    detail: str
    endpoint: str
    pid: int | None = None


class ServiceError(RuntimeError):
    """A service cannot be started or reached; the message says what to do."""


class Service(Protocol):
    """A service of the platform. All calls may be repeated; none asks anything."""

    @property
    def name(self) -> str:
        """Name in progress, status and logs."""
        ...

    def start(self) -> None:
        """Start it unless it runs, and return before it is ready."""
        ...

    def ready(self) -> bool:
        """Tell whether it answers in its own protocol; takes at most `READY_SECONDS`."""
        ...

    def wait_ready(self, timeout: float) -> None:
        """Wait until it is ready and set up. Raises ServiceError after `timeout` seconds."""
        ...

    def stop(self) -> None:
        """Stop it cleanly, and hard only when that fails."""
        ...

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        ...

    def endpoints(self) -> dict[str, str]:
        """Return its URLs as `endpoints.json` names them, credentials included."""
        ...


def wait_until_ready(
    name: str,
    ready: Callable[[], bool],
    process: Process | None,
    timeout: float,
    start_again: Callable[[], None] | None = None,
) -> None:
    """Ask `ready` until it says yes. Raises ServiceError when `process` ends or time is up.

    With `start_again` the process may end a few times: a server that was killed an instant before `start`
    looked alive to it, and a port that was free then may be a stranger's by now. Two that want one port
    may find each other there again, so each waits for a while of its own.
    """
    give_up = time.monotonic() + timeout
    starts = 1
    while not ready():
        if process is not None and process.alive() is None:
            if start_again is not None and starts < MOST_STARTS:
                if starts > 1:
                    time.sleep(random.uniform(*_APART_SECONDS))  # noqa: S311 -- no secret
                start_again()
                starts += 1
                continue
            raise ServiceError(
                f"{name} ended while starting; {process.log} ends with:\n{process.last_words()}"
            )
        if time.monotonic() > give_up:
            where = "" if process is None else f"; see {process.log}"
            raise ServiceError(
                f"{name} did not get ready within {timeout:.0f} s{where}. "
                "Run `make down` and `make up` to start it afresh"
            )
        time.sleep(POLL_SECONDS)


def process_status(service: Service, process: Process, endpoint: str) -> ServiceStatus:
    """Return the status of a service that is one process of ours."""
    pid = process.alive()
    if pid is None:
        return ServiceStatus(service.name, ServiceState.DOWN, "not running", endpoint)
    if service.ready():
        return ServiceStatus(service.name, ServiceState.READY, "", endpoint, pid)
    detail = f"runs but does not answer; see {process.log}"
    return ServiceStatus(service.name, ServiceState.STARTING, detail, endpoint, pid)


__all__ = [
    "Process",
    "ProcessError",
    "Service",
    "ServiceError",
    "ServiceState",
    "ServiceStatus",
    "process_status",
    "wait_until_ready",
]
