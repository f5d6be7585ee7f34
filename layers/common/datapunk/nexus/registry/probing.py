"""The prober: asks HTTP and TCP targets how they are, in parallel, and tells the registry.

It asks nobody but the address an instance is registered with, follows no redirection, and reads no more of an
answer than its status.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from datapunk import __version__, registry
from datapunk.errors import DatapunkError
from datapunk.registry import Check
from datapunk.registry.addresses import resolve
from datapunk.registry.changes import publish_changes
from datapunk.registry.model import INTERVAL
from datapunk.registry.store import sweep, tenants
from datapunk.telemetry import count, logger, observe

AT_ONCE = 64
"""Probes that are under way at the same time."""
_WELL = range(200, 300)
_GRACE = 1.0
_LONGEST_LINE = 1_024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")


@dataclass(frozen=True, slots=True)
class Target:
    """A check to probe."""

    tenant: str
    check: Check


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found; `output` says it in a sentence."""

    success: bool
    output: str


def probe_for(seconds: float, *, interval: float = INTERVAL) -> dict[str, int]:
    """Probe what is due, sweep and publish changes, every `interval` seconds for so many seconds.

    Rounds begin `interval` apart whatever they take, unless one takes longer. What fails in one round is
    logged and tried in the next. Where nobody but the platform has registered anything there is nothing to
    watch: one round is all.
    """
    started = time.monotonic()
    due: dict[tuple[str, str], float] = {}
    totals = {"rounds": 0, "probes": 0, "failed": 0, "published": 0}
    watched = True
    while True:
        began = time.monotonic()
        with _tolerated():
            watched = sweep() > 0
            probed, failed = _round(due, interval)
            totals["probes"] += probed
            totals["failed"] += failed
        with _tolerated():
            totals["published"] += publish_changes()
        totals["rounds"] += 1
        observe("probe_round_seconds", time.monotonic() - began, service="nexus")
        following = max(began + interval, time.monotonic())
        if not watched or following - started >= seconds:
            return totals
        time.sleep(max(0.0, following - time.monotonic()))


def targets() -> list[Target]:
    """Return every check that is to be probed, whichever tenant's."""
    return [
        Target(tenant, held.check)
        for tenant in tenants()
        for instance in registry.instances(tenant)[0]
        if instance.tenant == tenant
        for held in instance.checks
        if held.check.kind != "ttl"
    ]


def ask(check: Check) -> Finding:
    """Probe a check once. Never raises: whatever goes wrong is what it found."""
    try:
        if check.kind == "http":
            return _ask_http(check)
        return _ask_tcp(check)
    except DatapunkError as error:
        return Finding(success=False, output=error.detail)
    except TimeoutError:
        return Finding(success=False, output=f"no answer within {check.timeout_ms / 1000:g} s")
    except (OSError, ValueError) as error:
        return Finding(success=False, output=f"{type(error).__name__}: {error}"[:200])


def _round(due: dict[tuple[str, str], float], interval: float) -> tuple[int, int]:
    """Probe what is due; return how many probes that were and how many failed."""
    now = time.monotonic()
    everything = targets()
    known = {(item.tenant, item.check.id) for item in everything}
    for gone in due.keys() - known:
        del due[gone]
    wanted = [item for item in everything if due.get((item.tenant, item.check.id), 0.0) <= now]
    for item in wanted:
        # A tenth of a round early is on time: rounds do not begin to the millisecond.
        wait = max(item.check.interval_ms / 1000 * (interval / INTERVAL), interval) - interval / 10
        due[item.tenant, item.check.id] = now + wait
    return len(wanted), sum(not success for success in _probe_all(wanted))


def _probe_all(wanted: Sequence[Target]) -> Iterator[bool]:
    """Probe all at once; one that hangs, as a name server can, is given up and left behind."""
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe")
    try:
        running = [(target, pool.submit(ask, target.check)) for target in wanted]
        waves = 1 + len(wanted) // AT_ONCE
        longest = max((item.check.timeout_ms for item in wanted), default=0) / 1000
        limit = time.monotonic() + waves * longest + _GRACE
        for target, asked in running:
            try:
                finding = asked.result(max(0.0, limit - time.monotonic()))
            except TimeoutError:
                finding = Finding(success=False, output="no answer in time")
            yield _judged(target, finding)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _judged(target: Target, finding: Finding) -> bool:
    outcome = "success" if finding.success else "failure"
    count("probes_total", service="nexus", outcome=outcome)
    registry.judge(target.tenant, target.check, success=finding.success, output=finding.output)
    return finding.success


def _ask_http(check: Check) -> Finding:
    parts = urlsplit(check.target)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    question = (
        f"{check.method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"User-Agent: datapunk/{__version__}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    with _connected(host, port, check.timeout_ms / 1000) as (connected, limit):
        asked = _secured(connected, host) if secure else connected
        asked.sendall(question.encode("ascii"))
        status = _status_of(asked, limit)
    return Finding(status in _WELL, f"HTTP {status}")


def _status_of(asked: socket.socket, limit: float) -> int:
    """Read the status line and no more: an answer that trickles in cannot hold the prober beyond `limit`."""
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_LINE:
        asked.settimeout(_left(limit))
        received = asked.recv(_LONGEST_LINE)
        if not received:
            break
        line += received
    found = _STATUS_LINE.match(line)
    if found is None:
        raise ValueError("the answer is not HTTP")
    return int(found[1])


def _ask_tcp(check: Check) -> Finding:
    parts = urlsplit(f"tcp://{check.target}")
    with _connected(parts.hostname or "", parts.port or 0, check.timeout_ms / 1000):
        return Finding(success=True, output="TCP connect")


@contextmanager
def _connected(host: str, port: int, seconds: float) -> Iterator[tuple[socket.socket, float]]:
    """Connect to an address the name stands for and that may be reached; hand on when time is up."""
    limit = time.monotonic() + seconds
    address = resolve(host, port)[0]
    with socket.create_connection((address, port), _left(limit)) as connected:
        connected.settimeout(_left(limit))
        yield connected, limit


def _secured(connected: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(connected, server_hostname=host)


def _left(limit: float) -> float:
    left = limit - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _tolerated() -> Iterator[None]:
    """Log a failure of a service we depend on, and go on."""
    try:
        yield
    except DatapunkError as error:
        count("probe_rounds_failed_total", service="nexus")
        logger().warning("round failed", extra={"code": error.code, "reason": error.detail})
