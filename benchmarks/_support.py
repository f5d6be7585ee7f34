"""What all benchmarks share: timing loops, a load generator, tables, the machine, a result file.

A figure of a shared machine means little alone. So peers are measured in the same run, in turns,
and each run carries the time of a fixed loop of pure Python (`calibrate`) to compare runs by.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CALIBRATION_STEPS = 2_000_000
CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"


def calibrate() -> float:
    """Return the milliseconds of a fixed loop: how fast this machine is right now."""
    started = time.perf_counter()
    total = 0
    for number in range(CALIBRATION_STEPS):
        total += number & 7
    return (time.perf_counter() - started) * 1000


def machine() -> str:
    """Return one line about the machine and the interpreter."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"model name\s*: (.*)", information.read_text(encoding="utf-8"))
        model = found[1] if found else model
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}, calibration {calibrate():.0f} ms"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share (0 to 1) of the values lies; nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def timed(work: Callable[[], object], *, count: int, warm_up: int = 20) -> list[float]:
    """Return the seconds of each of `count` calls, after some that do not count."""
    for _ in range(warm_up):
        work()
    clock = time.perf_counter
    times = []
    for _ in range(count):
        started = clock()
        work()
        times.append(clock() - started)
    return times


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an aligned Markdown table; the keys of the first row are its head."""
    names = list(rows[0])
    lines = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    text = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Write a benchmark's figures to `results/NAME.json`, with time, machine and command."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        **content,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class Load:
    """What a load run has measured. Times are in seconds."""

    times: tuple[float, ...]
    seconds: float
    errors: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds

    @property
    def p50(self) -> float:
        """Median time of an answer in milliseconds."""
        return statistics.median(self.times) * 1000

    @property
    def p95(self) -> float:
        """95th percentile of the time of an answer in milliseconds."""
        return percentile(self.times, 0.95) * 1000


async def load(
    host: str, port: int, path: str, *, clients: int, seconds: float, expected: bytes
) -> Load:
    """Let clients ask for a path, each again as soon as it is answered, and measure.

    Connections are kept alive as far as the server lets them be. An answer without `expected` in
    its body counts as an error.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n".encode()
    times: list[float] = []
    errors = 0
    started = time.perf_counter()
    end = started + seconds

    async def client() -> None:
        nonlocal errors
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while time.perf_counter() < end:
            begun = time.perf_counter()
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection(host, port)
                writer.write(request)
                head = await reader.readuntil(HEAD_END)
                body = await _body(reader, head)
            except (OSError, asyncio.IncompleteReadError):
                # A server that closes after each answer may do so without a word.
                reader = None
                errors += 1
                continue
            if b" 200 " not in head[:16] or expected not in body:
                errors += 1
            else:
                times.append(time.perf_counter() - begun)
            if b"connection: close" in head.lower():
                writer.close()
                reader = None
        if writer is not None:
            writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(tuple(times), time.perf_counter() - started, errors)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    found = CONTENT_LENGTH.search(head)
    if found:
        return await reader.readexactly(int(found[1]))
    if b"chunked" in head.lower():
        parts = b""
        while size := int(await reader.readline(), 16):
            parts += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return parts
    return await reader.read()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
