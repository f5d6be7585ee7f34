"""The one health format: live, ready and startup of every module.

*live* says the function runs; *ready* asks every dependency; *startup* asks whether the module can begin
its work: whether its settings are there and the schema is the one this code needs. Body:
`{status, service, version, time, checks: [{name, status, latency_ms, required, detail}]}`. A required
dependency that fails makes the module `down` (503), another one `degraded` (200). All are asked at once, and
whatever they do, the answer is there in `CHECK_TIMEOUT` seconds. What asks a dependency has limits of its own
within those, so that nothing is left behind that waits for a server that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from datapunk import __version__, cache
from datapunk.broker import check_broker
from datapunk.database import check_database
from datapunk.database.connection import acquire
from datapunk.database.migrations import pending
from datapunk.errors import DatapunkError, UnavailableError
from datapunk.settings import settings
from datapunk.telemetry import logger, observe

CHECK_TIMEOUT = 3.0
"""Seconds a check may take before its dependency counts as down."""

_SLOTS = 16_384

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
    """A dependency: how to ask it, whether the module can work without it, where it is by the settings."""

    name: str
    ask: Callable[[], None]
    required: bool = True
    address: Callable[[], object] | None = None

    def optional(self) -> Check:
        """Return the same dependency for a module that can work without it."""
        return replace(self, required=False)


def check_redis() -> None:
    """Ping Redis; of a cluster, ask also whether every slot is served.

    Raises UnavailableError when it does not answer, ConfigurationError without a URL.
    """
    cache.check_cache()
    import redis

    client = cache.client()
    if isinstance(client, redis.RedisCluster):
        with cache.translated():
            found = client.cluster_info()
        if found["cluster_state"] != "ok":
            served = int(found["cluster_slots_ok"])
            raise UnavailableError("redis", f"{served:,} of {_SLOTS:,} slots are served.")


def check_schema() -> None:
    """Ask whether every migration is applied. Raises UnavailableError when one is missing."""
    check_database()
    missing = pending(acquire())
    if missing:
        raise UnavailableError("postgresql", f"Not yet applied: {', '.join(missing)}.")


POSTGRESQL = Check("postgresql", check_database, address=lambda: settings().database())
RABBITMQ = Check("rabbitmq", check_broker, address=lambda: settings().amqp())
REDIS = Check("redis", check_redis, address=lambda: settings().redis())
SCHEMA = Check("schema", check_schema)
STARTUP = ("settings", SCHEMA.name)
"""What every module's startup asks about."""


def report(service: str, probe: Probe, dependencies: Sequence[Check]) -> Health:
    """Answer a probe of `service`; a readiness also counts in the metric `service_availability`."""
    checks: Sequence[Check] = ()
    if probe is Probe.READY:
        checks = dependencies
    elif probe is Probe.STARTUP:
        checks = (_settings_of(dependencies), SCHEMA)
    results = _ask_all(checks)
    failed = [result for result in results if result.status == "down"]
    status: State = "up"
    if any(result.required for result in failed):
        status = "down"
    elif failed:
        status = "degraded"
    if probe is Probe.READY:
        # Its average over the probes is the share of time that the module could serve.
        observe("service_availability", 0 if status == "down" else 1, "None", service=service)
    return Health(
        status=status,
        service=service,
        version=__version__,
        time=datetime.now(UTC),
        checks=results,
    )


def _settings_of(dependencies: Sequence[Check]) -> Check:
    """Return the check of the settings: all are valid, and say where each required dependency is."""

    def ask() -> None:
        settings()
        for dependency in dependencies:
            if dependency.required and dependency.address is not None:
                dependency.address()

    return Check("settings", ask)


def _ask_all(checks: Sequence[Check]) -> list[CheckResult]:
    """Ask all dependencies at once, `CHECK_TIMEOUT` in all."""
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
    except Exception:  # noqa: BLE001 -- see below
        # Whatever a driver raises is no reason to give no answer about the others.
        logger().exception("health check failed", extra={"check": check.name})
        detail = "failed in a way nobody foresaw; the log says how"
    elapsed = (time.perf_counter() - started) * 1000
    return CheckResult(
        name=check.name,
        status="down" if detail else "up",
        latency_ms=round(elapsed, 3),
        required=check.required,
        detail=detail,
    )
