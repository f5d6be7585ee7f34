"""A clock that goes on when a test says so, for the memory of the authorizer."""

from __future__ import annotations

import time

from datapunk.nexus.remembered import Memory


class Clock:
    """Two clocks that agree, unless a test moves one of them alone."""

    def __init__(self) -> None:
        self.monotonic = 1_000.0
        self.wall = time.time()

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += seconds
        self.wall += seconds

    def memory(self) -> Memory:
        """Return an empty memory that goes by this clock."""
        return Memory(lambda: self.monotonic, lambda: self.wall)
