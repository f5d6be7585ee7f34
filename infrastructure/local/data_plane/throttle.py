"""Throttling of a stage: a token bucket of `burst` tokens, refilled at `rate` a second."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """Lets a request through while a token is left. None for either limit means unlimited."""

    def __init__(
        self,
        burst: int | None,
        rate: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unlimited = burst is None or rate is None
        self._burst = float(burst or 0)
        self._rate = rate or 0.0
        self._clock = clock
        self._tokens = self._burst
        self._filled = clock()

    def take(self) -> bool:
        """Take a token; False when there is none."""
        if self._unlimited:
            return True
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
