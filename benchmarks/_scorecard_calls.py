"""Callers for the scorecard: processes, as environments are, that call a service through the router."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.conftest import forget_connections
from tests.support.routing import ask

CALLERS = 2
RATE = 30.0
"""Calls a second that a caller begins at most: what is measured is not how much the machine can do."""
PROCESSES = multiprocessing.get_context("fork")
_GIVE_UP = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has ended, at a moment of the monotonic clock, which all processes share."""

    caller: int
    ended: float
    good: bool
    instance: str = ""
    """Who answered a good one."""


class Crowd:
    """Callers that go on from the beginning of the body until `finish`, each one call at a time."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._stop = PROCESSES.Event()
        self._ready = PROCESSES.Barrier(CALLERS + 1)
        self._found: Any = PROCESSES.Queue()
        self._processes = [
            PROCESSES.Process(target=self._work, args=(number,), daemon=True)
            for number in range(CALLERS)
        ]

    def __enter__(self) -> Self:
        """Begin; everybody has been answered once when this returns."""
        start_environments(self._processes)
        self._ready.wait(_GIVE_UP)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End those that still call."""
        end_environments(self._processes)

    def finish(self) -> list[Call]:
        """Stop calling; return all calls in the order in which they ended."""
        self._stop.set()
        calls = [call for _ in self._processes for call in self._found.get(timeout=_GIVE_UP)]
        return sorted(calls, key=lambda call: call.ended)

    def _work(self, number: int) -> None:
        become_environment()
        ask(service=self._service)
        self._ready.wait(_GIVE_UP)
        calls, following = [], time.monotonic()
        while not self._stop.is_set():
            answered = ask(service=self._service)
            good = answered.status == 200  # noqa: PLR2004
            instance = answered.json["instance"] if good else ""
            calls.append(Call(number, time.monotonic(), good, instance))
            following = max(following + 1 / RATE, time.monotonic())
            time.sleep(max(0.0, following - time.monotonic()))
        self._found.put(calls)


def become_environment() -> None:
    """Make a forked process an environment that was just started, and whose log nobody reads."""
    forget_connections()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def start_environments(processes: Iterable[Any]) -> None:
    """Start processes; what is connected here is closed before, as they would share it."""
    forget_connections()
    for process in processes:
        process.start()


def end_environments(processes: Iterable[Any]) -> None:
    """End processes, whatever they are at."""
    for process in processes:
        process.kill()
        process.join(10)


def failures(calls: Iterable[Call]) -> int:
    """Return how many of the calls have failed."""
    return sum(not call.good for call in calls)


def longest_outage(calls: Iterable[Call]) -> float:
    """Return the seconds that a caller has gone at most without a good answer."""
    longest = 0.0
    by_caller: dict[int, list[Call]] = {}
    for call in calls:
        by_caller.setdefault(call.caller, []).append(call)
    for own in by_caller.values():
        # The first and the last call bound the time, whatever came of them.
        moments = [own[0].ended, *(call.ended for call in own if call.good), own[-1].ended]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        longest = max(longest, *gaps)
    return longest
