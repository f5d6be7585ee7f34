"""Time for caches: a hybrid logical clock for versions, and ages that go on while a process is stopped.

A version is one number below 2**53, which Lua and JSON keep exactly: milliseconds since 1970 in the upper 42
bits and a counter in the lower 11 (Kulkarni et al., "Logical Physical Clocks", 2014, in the compact form of
its section 6). Whoever has seen a version gives only higher ones from then on, whatever his clock says.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOGICAL_BITS = 11
MAX_VERSION = 2**53 - 1
MAX_AHEAD_MS = 60_000
"""How far a foreign version may be ahead of the own clock to be followed: beyond that a clock is broken."""
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class HybridClock:
    """Gives versions that never go back. `wall` returns milliseconds since 1970."""

    def __init__(self, wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._wall = wall
        self._last = 0

    def tick(self) -> int:
        """Return a version for something that happens now: higher than all given or seen before."""
        self._last = max(self._wall() << LOGICAL_BITS, self._last + 1)
        return self._last

    def see(self, version: int) -> None:
        """Take note of a version that came from elsewhere."""
        if physical_ms(version) <= self._wall() + MAX_AHEAD_MS:
            self._last = max(self._last, version)


def physical_ms(version: int) -> int:
    """Return the milliseconds since 1970 that a version was given at, by the clock of its giver."""
    return version >> LOGICAL_BITS


def now() -> tuple[float, float]:
    """Return this moment, in seconds, by the clock that also counts suspension and by the wall's."""
    return time.clock_gettime(_BOOT_CLOCK), time.time()


def age(since: tuple[float, float]) -> float:
    """Return the seconds that have passed since a moment of `now`.

    A process that was stopped, or a machine that was, may find only one of its clocks moved on: the larger
    difference counts. A wall clock that was set back says nothing.
    """
    boot, wall = now()
    return max(boot - since[0], wall - since[1])


CLOCK = HybridClock()
"""This process's clock."""
