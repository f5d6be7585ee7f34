"""Progress: plain lines in a log, a live display on a terminal."""

from __future__ import annotations

import io
import threading

import pytest

from infrastructure.local.progress import Progress


def test_each_finished_step_is_one_plain_line() -> None:
    # Given
    stream = io.StringIO()
    # When
    with Progress(stream) as progress:
        with progress.step("postgres") as step:
            step.update(detail="starting", fraction=0.5)
            step.update(detail="127.0.0.1:15432")
        progress.say("all of it runs")
        with pytest.raises(ValueError, match="no luck"), progress.step("redis"):
            raise ValueError("no luck")
    # Then
    lines = stream.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["✓", "postgres"],
        ["all", "of"],
        ["✗", "redis"],
    ]
    assert lines[0].endswith("127.0.0.1:15432")
    assert " s " in lines[0]
    assert "\x1b" not in stream.getvalue()


def test_steps_under_way_are_redrawn_on_a_terminal() -> None:
    # Given
    stream = io.StringIO()
    drawn = threading.Event()
    write = stream.write

    def noticing(text: str) -> int:
        if "50%" in text:
            drawn.set()
        return write(text)

    stream.write = noticing  # type: ignore[method-assign]
    # When
    with Progress(stream, live=True) as progress, progress.step("download") as step:
        step.update(fraction=0.5)
        assert drawn.wait(10)
    # Then
    last = stream.getvalue().splitlines()[-1]
    assert "✓ download" in last
    assert "%" not in last
