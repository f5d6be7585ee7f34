"""What is known about the work in hand: correlation, trace, deadline, caller.

A Lambda environment does one thing at a time; the context is set by an edge (HTTP, queue, schedule) and
read by the logger, the broker and the database without being passed through every call.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from datapunk.identity import Caller

_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}\Z")
_XRAY_ROOT = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})")
_CORRELATION = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}\Z")
_FAR = 3600.0
TIMEOUT = "connect-timeout-ms"
"""The header with the time a call has left, in milliseconds (Connect protocol)."""
KEY = "idempotency-key"
"""The header with the key under which a call may be repeated."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A position in a distributed trace (W3C Trace Context): 32 and 16 lower-case hex digits."""

    trace_id: str
    span_id: str

    def header(self) -> str:
        """Return the `traceparent` that hands this position on."""
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass(frozen=True, slots=True)
class WorkContext:
    """One request, message batch or run. `deadline` is in seconds of the monotonic clock."""

    operation: str
    correlation_id: str
    trace: Trace
    deadline: float
    caller: Caller = field(default_factory=Caller)
    token: str = field(default="", repr=False)
    """The access token the caller came with, to be exchanged where a call leaves AWS; empty for others."""

    @property
    def service(self) -> str:
        """The module the operation belongs to: `lake` of `lake.create_dataset`."""
        return self.operation.partition(".")[0]

    def remaining(self) -> float:
        """Return the seconds left before the deadline, never below zero."""
        return max(0.0, self.deadline - time.monotonic())


_current: ContextVar[WorkContext | None] = ContextVar("datapunk_work", default=None)


def current() -> WorkContext | None:
    """Return the context of the work in hand, or None outside of any."""
    return _current.get()


def remaining_seconds() -> float:
    """Return the seconds left before the deadline; an hour where there is none."""
    work = _current.get()
    return work.remaining() if work else _FAR


class working:  # noqa: N801 -- used like a function; a generator would take three times as long
    """Make `work` the current context for the body."""

    __slots__ = ("_token", "_work")

    def __init__(self, work: WorkContext) -> None:
        self._work = work

    def __enter__(self) -> WorkContext:
        """Return the work, which is the current one from now on."""
        self._token = _current.set(self._work)
        return self._work

    def __exit__(self, *_: object) -> None:
        """Go back to what was current before."""
        _current.reset(self._token)


def continue_trace(traceparent: str | None, xray: str | None) -> Trace:
    """Return a new span in the trace of a `traceparent` header or an X-Ray header, or a new trace.

    An unreadable header starts a new trace, as the W3C recommendation asks.
    """
    if traceparent and (match := _TRACEPARENT.match(traceparent)) and int(match["trace"], 16):
        return Trace(match["trace"], secrets.token_hex(8))
    if xray and (root := _XRAY_ROOT.search(xray)):
        return Trace(root[1] + root[2], secrets.token_hex(8))
    both = secrets.token_hex(24)
    return Trace(both[:32], both[32:])


def continue_correlation(given: str | None) -> str:
    """Return the caller's correlation id when it is safe to echo and log, else a new one."""
    if given and _CORRELATION.match(given):
        return given
    return secrets.token_hex(16)


def deadline_of(context: Any, *, margin: float = 0.5) -> float:
    """Return the monotonic deadline of a Lambda invocation, `margin` seconds before it is killed."""
    read = getattr(context, "get_remaining_time_in_millis", None)
    seconds = read() / 1000 if read else _FAR
    return time.monotonic() + max(0.0, seconds - margin)


def call_headers() -> dict[str, str]:
    """Return the HTTP headers or gRPC metadata that carry the context with a call to another service.

    The time that is left and a call's key are the call's own (`TIMEOUT`, `KEY`).
    """
    work = _current.get()
    if work is None:
        return {"traceparent": continue_trace(None, None).header()}
    return {"traceparent": work.trace.header(), "x-correlation-id": work.correlation_id}


def carried_headers() -> Mapping[str, str]:
    """Return the headers that carry the context to the next service."""
    work = _current.get()
    if work is None:
        return {}
    return {"traceparent": work.trace.header(), "correlationid": work.correlation_id}
