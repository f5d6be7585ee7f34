"""`make logs`: the log files of services and functions, last lines or as they are written."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_POLL_SECONDS = 0.2
_TAIL_BYTES = 256 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--name", default="", help="only logs whose name contains this")
    parser.add_argument("--follow", action="store_true", help="go on as lines are written")
    parser.add_argument("--lines", type=int, default=20, help="lines of each log at the start")


def show(folder: Path, given: argparse.Namespace) -> int:
    """Print the logs; return 1 when there is none of that name."""
    files = _matching(folder, given.name)
    if not files and not given.follow:
        known = ", ".join(file.stem for file in _matching(folder, "")) or "none yet"
        sys.stderr.write(f"There is no log called {given.name or 'anything'}. Logs: {known}.\n")
        return 1
    width = max((len(file.stem) for file in files), default=0)
    places = {file: _print_end(file, given.lines, width) for file in files}
    if given.follow:
        # Ctrl-C is how a reader ends this: nothing is interrupted.
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    while given.follow:
        time.sleep(_POLL_SECONDS)
        for file in _matching(folder, given.name):
            width = max(width, len(file.stem))
            places[file] = _print_new(file, places.get(file, 0), width)
    return 0


def _matching(folder: Path, name: str) -> list[Path]:
    return sorted(file for file in folder.glob("*.log") if name in file.stem)


def _print_end(file: Path, lines: int, width: int) -> int:
    """Print the last lines of a file and return where it ends."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - _TAIL_BYTES))
        content = stream.read(size)
    _print(file, content.splitlines()[-lines:] if lines else [], width)
    return size


def _print_new(file: Path, place: int, width: int) -> int:
    """Print the whole lines written since `place` and return where they end."""
    if file.stat().st_size < place:
        place = 0  # the file was begun anew
    with file.open("rb") as stream:
        stream.seek(place)
        content = stream.read()
    complete = content.rfind(b"\n") + 1
    _print(file, content[:complete].splitlines(), width)
    return place + complete


def _print(file: Path, lines: Iterable[bytes], width: int) -> None:
    for line in lines:
        sys.stdout.write(f"{file.stem:<{width}} | {line.decode(errors='replace')}\n")
    sys.stdout.flush()
