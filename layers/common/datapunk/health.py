"""The one health format: live, ready and startup of every module.

*live* says the function runs; *ready* asks every dependency; *startup* asks whether the module can begin
its work, i.e. whether the schema is the one this code needs. Body:
`{status, service, version, time, checks: [{name, status, latency_ms, required, detail}]}`. A required
dependency that fails makes the module `down` (503), another one `degraded` (200).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from datapunk import __version__
from datapunk.broker import check_broker
from datapunk.cache import check_cache
from datapunk.database import check_database
from datapunk.database.connection import acquire
from datapunk.database.migrations import pending
from datapunk.errors import DatapunkError, UnavailableError

CHECK_TIMEOUT = 3.0
"""Seconds a check may take before its dependency counts as down."""

State = Literal["up", "degraded", "down"]


class Probe(StrEnum):
    """Which question is asked."""

    LIVE = "live"
    READY = "ready"
    STARTUP = "startup"


class CheckResult(BaseModel):
    """What one dependency answered. `latency_ms` is in milliseconds."""

    name: str
    status: Literal["up", "down"]
    latency_ms: float
    required: bool
    detail: str = ""


class Health(BaseModel):
    """The state of a module."""

    status: State
    service: str
    version: str
    time: datetime
    checks: list[CheckResult]


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency: how to ask it, and whether the module can work without it."""

    name: str
    ask: Callable[[], None]
    required: bool = True


def check_schema() -> None:
    """Ask whether every migration is applied. Raises UnavailableError when one is missing."""
    missing = pending(acquire())
    if missing:
        raise UnavailableError("postgresql", f"Not yet applied: {', '.join(missing)}.")


POSTGRESQL = Check("postgresql", check_database)
RABBITMQ = Check("rabbitmq", check_broker)
REDIS = Check("redis", check_cache)
SCHEMA = Check("schema", check_schema)


def report(service: str, probe: Probe, dependencies: Sequence[Check]) -> Health:
    """Answer a probe of `service`."""
    checks: Sequence[Check] = ()
    if probe is Probe.READY:
        checks = dependencies
    elif probe is Probe.STARTUP:
        checks = (SCHEMA,)
    results = _ask_all(checks)
    failed = [result for result in results if result.status == "down"]
    status: State = "up"
    if any(result.required for result in failed):
        status = "down"
    elif failed:
        status = "degraded"
    return Health(
        status=status,
        service=service,
        version=__version__,
        time=datetime.now(UTC),
        checks=results,
    )


def _ask_all(checks: Sequence[Check]) -> list[CheckResult]:
    """Ask all dependencies at once, each for `CHECK_TIMEOUT` at most."""
    if not checks:
        return []
    pool = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="health")
    try:
        running = [(check, time.perf_counter(), pool.submit(check.ask)) for check in checks]
        return [_result(check, started, future.result) for check, started, future in running]
    finally:
        # A check that hangs is left to its own time limits: waiting here would only hang with it.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(check: Check, started: float, wait: Callable[[float], None]) -> CheckResult:
    detail = ""
    try:
        wait(max(0.0, CHECK_TIMEOUT - (time.perf_counter() - started)))
    except TimeoutError:
        detail = f"no answer within {CHECK_TIMEOUT:g} s"
    except DatapunkError as error:
        detail = error.detail
    elapsed = (time.perf_counter() - started) * 1000
    return CheckResult(
        name=check.name,
        status="down" if detail else "up",
        latency_ms=round(elapsed, 3),
        required=check.required,
        detail=detail,
    )
