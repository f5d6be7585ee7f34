"""What the launcher says while it works: one line per step, with the time the step took.

On a terminal the running steps are shown live below the finished ones, with a spinner and, where
the size of the work is known, a percentage. Elsewhere (a CI log, a pipe) each finished step is a
plain line.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self, TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_SECONDS = 0.1
LABEL_WIDTH = 28
CLEAR_LINE = "\x1b[2K"
LINE_UP = "\x1b[1A"


@dataclass
class Step:
    """One step under way."""

    label: str
    started: float = field(default_factory=time.monotonic)
    detail: str = ""
    fraction: float | None = None

    def update(self, *, detail: str | None = None, fraction: float | None = None) -> None:
        """Tell how far the step is: `fraction` from 0 to 1, `detail` in a few words."""
        if detail is not None:
            self.detail = detail
        if fraction is not None:
            self.fraction = min(max(fraction, 0.0), 1.0)

    def line(self, sign: str) -> str:
        """Return the step as one line of text."""
        elapsed = f"{time.monotonic() - self.started:6.1f} s"
        percent = "" if self.fraction is None else f"{self.fraction:4.0%}"
        return f" {sign} {self.label:<{LABEL_WIDTH}}{elapsed}  {percent} {self.detail}".rstrip()


class Progress:
    """The steps of one launch. Steps may run in several threads at once.

    Use it as a context manager: leaving it ends the live display. `live` defaults to whether
    `stream` is a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._live = self._stream.isatty() if live is None else live
        self._lock = threading.Lock()
        self._running: list[Step] = []
        self._drawn = 0
        self._ended = threading.Event()
        self._painter: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._painter = threading.Thread(target=self._paint, name="progress", daemon=True)
            self._painter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._painter is not None:
            self._painter.join()
        with self._lock:
            self._redraw()

    def say(self, text: str) -> None:
        """Print a line that belongs to no step."""
        with self._lock:
            self._redraw(text)

    @contextlib.contextmanager
    def step(self, label: str) -> Iterator[Step]:
        """Show a step while the block runs. It ends as failed when the block raises."""
        step = Step(label)
        with self._lock:
            self._running.append(step)
        sign = "✗"
        try:
            yield step
            sign = "✓"
            step.fraction = None
        finally:
            with self._lock:
                self._running.remove(step)
                self._redraw(step.line(sign))

    def _paint(self) -> None:
        frame = 0
        while not self._ended.wait(FRAME_SECONDS):
            frame += 1
            with self._lock:
                self._redraw(sign=FRAMES[frame % len(FRAMES)])

    def _redraw(self, finished: str | None = None, sign: str = FRAMES[0]) -> None:
        """Write `finished`, and below it the steps under way where the display is live."""
        text = (LINE_UP + CLEAR_LINE) * self._drawn
        if finished is not None:
            text += finished + "\n"
        self._drawn = 0
        if self._live and not self._ended.is_set():
            width = shutil.get_terminal_size().columns - 1
            for step in self._running:
                text += step.line(sign)[:width] + "\n"
                self._drawn += 1
        if text:
            self._stream.write(text)
            self._stream.flush()
