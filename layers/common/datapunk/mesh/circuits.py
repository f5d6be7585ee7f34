"""Where the state of breakers and bulkheads is kept: in Redis, and without it in this environment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

import orjson

from datapunk import cache
from datapunk.errors import ConfigurationError, DatapunkError, UnavailableError
from datapunk.mesh.local_circuits import LocalCircuits
from datapunk.mesh.rules import Admission, BreakerPolicy, Change, Outcome, Verdict
from datapunk.scripts import Pause, script
from datapunk.telemetry import count, logger

INDEX = "breakers"
"""Targets by when they were last called, so that they can be listed."""
REFRESH = 60.0
"""Seconds after which a target that is called is put into the index again."""
_DAY = 86_400.0

_run = script(Path(__file__).with_name("breaker.lua"))
_pause = Pause()
_local = LocalCircuits()
_indexed: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a target as Redis has it: `wait` in milliseconds, `since` in those of the epoch."""

    target: str
    calls: int
    failures: int
    row: int
    refused: int
    busy: int
    open: bool
    probed: bool
    wait: int
    since: str


def admit(target: str, policy: BreakerPolicy, call: str, lease: float) -> Admission:
    """Ask whether a call may pass: Redis, else what is known here. Never raises for Redis."""
    if not _pause.active():
        arguments = (
            "admit",
            call,
            str(policy.width),
            _milliseconds(lease),
            str(policy.concurrency),
        )
        try:
            with cache.translated():
                _index(target)
                said, number = _run(_keys(target), arguments).split()
        except (UnavailableError, ConfigurationError) as error:
            _leave_alone(error)
        else:
            verdict = cast("Verdict", said)
            wait = int(number) / 1000 if verdict in ("open", "full") else 0.0
            if verdict == "open":
                _local.learn(target, wait)
            elif verdict == "closed":
                _local.unlearn(target)
            # A healthy call costs one round trip: its success would change nothing.
            tell = verdict == "probe" or bool(policy.concurrency) or number != "0"
            return Admission(verdict, wait, tell, shared=True)
    count("breaker_unshared_total", target=target)
    return _local.admit(target, policy, call, lease)


def settle(
    target: str, policy: BreakerPolicy, call: str, admission: Admission, outcome: Outcome
) -> Change:
    """Tell how a call went to whoever let it pass. Never raises for Redis."""
    is_probe = admission.verdict == "probe"
    if outcome != "failed" and not admission.tell:
        return "closed"
    if admission.shared and not _pause.active():
        arguments = (
            "settle",
            call,
            str(policy.width),
            str(int(bool(policy.concurrency))),
            str(int(is_probe)),
            outcome,
            str(policy.failures),
            str(policy.volume),
            str(policy.error_percent),
            _milliseconds(policy.reset),
        )
        try:
            with cache.translated():
                change = cast("Change", _run(_keys(target), arguments))
        except (UnavailableError, ConfigurationError) as error:
            _leave_alone(error)
        else:
            _remember(target, policy, change)
            return change
    return _local.settle(target, policy, call, outcome, is_probe=is_probe)


def look() -> Iterator[Seen]:
    """Yield the state of every target called within a day. Raises UnavailableError without Redis."""
    with cache.translated():
        client = cache.client()
        client.zremrangebyscore(INDEX, "-inf", time.time() - _DAY)
        targets = sorted(str(target) for target in client.zrange(INDEX, 0, -1))
        for target in targets:
            state = orjson.loads(_run(_keys(target), ("look",)))
            yield Seen(target=target, **state)


def forget() -> None:
    """Become an environment that has seen no target and no failure of Redis."""
    _pause.end()
    _local.clear()
    _indexed.clear()


def _keys(target: str) -> tuple[str, str]:
    """Return the keys of a target, which share a slot of a cluster."""
    name = quote(target, safe="/:@.-")
    return f"breaker:{{{name}}}", f"bulkhead:{{{name}}}"


def _index(target: str) -> None:
    now = time.monotonic()
    if _indexed.get(target, 0.0) < now:
        cache.client().zadd(INDEX, {target: time.time()})
        _indexed[target] = now + REFRESH


def _remember(target: str, policy: BreakerPolicy, change: Change) -> None:
    """Keep what Redis knows for when it is gone."""
    if change == "opened":
        _local.learn(target, policy.reset)
    elif change == "recovered":
        _local.unlearn(target)


def _leave_alone(error: DatapunkError) -> None:
    _pause.begin()
    logger().warning("breakers are not shared", extra={"reason": error.detail})


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
