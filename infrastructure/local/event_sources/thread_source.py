"""An event source that blocks, and so has a thread of its own beside the event loop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any


class ThreadSource(ABC):
    """Runs `_run` in a thread from `start` until `stop` is called for."""

    def __init__(self, name: str) -> None:
        self.state = "starting"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; whatever it needs may appear later."""
        self._thread.start()

    def stop(self) -> None:
        """Call for the end, after what is in hand; nothing in hand is lost."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, at most so long."""
        self._thread.join(seconds)

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """Return what the source does and has done."""

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stop` is set."""
