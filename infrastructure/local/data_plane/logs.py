"""The lines that Lambda itself writes into a function's log, and the files they go to."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from infrastructure.local.data_plane.settings import MEBIBYTE

ROTATE_BYTES = 64 * MEBIBYTE
TAIL_BYTES = 4096


def start_line(identifier: str) -> bytes:
    """Return the line before the first of the handler."""
    return f"START RequestId: {identifier} Version: $LATEST\n".encode()


def report_lines(
    identifier: str,
    *,
    seconds: float,
    memory: int,
    used: int,
    init_seconds: float | None = None,
    status: str = "",
) -> bytes:
    """Return the END and REPORT lines. `memory` is in MiB, `used` in bytes."""
    milliseconds = seconds * 1000
    line = (
        f"END RequestId: {identifier}\n"
        f"REPORT RequestId: {identifier}\tDuration: {milliseconds:.2f} ms\t"
        f"Billed Duration: {math.ceil(milliseconds)} ms\tMemory Size: {memory} MB\t"
        f"Max Memory Used: {math.ceil(used / MEBIBYTE)} MB\t"
    )
    if init_seconds is not None:
        line += f"Init Duration: {init_seconds * 1000:.2f} ms\t"
    if status:
        line += f"Status: {status}\t"
    return f"{line}\n".encode()


def timestamp() -> str:
    """Return the time as Lambda writes it in front of its own messages."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + "Z"


def log_path(folder: Path, operation: str) -> Path:
    """File of an operation's log; the name of the operation cannot leave the folder."""
    return folder / f"{operation.replace('/', '.')}.log"


def open_log(path: Path) -> int:
    """Open a log for appending and return the descriptor; one too large is put aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > ROTATE_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def close(descriptor: int) -> None:
    """Close what `open_log` opened."""
    os.close(descriptor)


def append(path: Path, lines: bytes) -> None:
    """Write lines that the function itself can no longer write."""
    descriptor = open_log(path)
    try:
        os.write(descriptor, lines)
    finally:
        os.close(descriptor)


def size(path: Path) -> int:
    """Size of a log in bytes, 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def tail(path: Path, offset: int, identifier: str) -> bytes:
    """Last 4 KB that an invocation logged after `offset`.

    Lines of other environments of the same function may stand between them.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read()
    except FileNotFoundError:
        return b""
    begin = text.find(start_line(identifier))
    report = text.find(f"REPORT RequestId: {identifier}".encode())
    end = text.find(b"\n", report) + 1 if report >= 0 else 0
    return text[max(begin, 0) : end or len(text)][-TAIL_BYTES:]
