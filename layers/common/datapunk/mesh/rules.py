"""The rules of a breaker and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["closed", "probe", "open", "full"]
"""What a call is told: pass, pass as the one that tries, or do not pass."""
Outcome = Literal["ok", "failed", "unknown"]
Change = Literal["closed", "opened", "open", "recovered"]
"""What a breaker is after an outcome; `opened` and `recovered` are said once."""
BUCKETS = 10
"""Parts of a window: calls leave it a part at a time."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how it closes; times in seconds.

    It opens after `failures` in a row within `window`, or when of at least `volume` calls within `window`
    `error_percent` failed. `concurrency` is the bulkhead's size, 0 for none. `lease` is as long as a call
    may take: for so long a probe or a slot is held for a caller that does not come back.
    """

    failures: int = 5
    window: float = 60.0
    reset: float = 60.0
    volume: int = 20
    error_percent: int = 50
    concurrency: int = 0
    lease: float = 30.0

    @property
    def width(self) -> int:
        """Milliseconds of a bucket."""
        return max(1, round(self.window * 1000 / BUCKETS))


@dataclass(frozen=True, slots=True)
class Admission:
    """What a call was told, and by whom.

    `wait` is in seconds. `tell` says whether a success must be told, `shared` whether Redis has answered.
    """

    verdict: Verdict
    wait: float = 0.0
    tell: bool = True
    shared: bool = False
