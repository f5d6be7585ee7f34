"""Adaptive balancing: instances that answer slowly, fail or cost more get less.

What an instance is worth is the time it needs for an answer, a moving average, times what its failures and
its cost make of it. Its weight is multiplied by (best / own) squared, never by less than a twentieth: what it
still gets tells when it has become better. The reason of each factor is kept in words. Without Redis, or
before enough is known, weights are what they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datapunk import cache
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.nexus.routing.instances import Instance
from datapunk.scripts import Pause, script
from datapunk.telemetry import logger

FLOOR = 0.05
"""The least an instance's weight is multiplied by."""
ENOUGH = 5
"""Answers after which an instance's average counts."""
FRESH = 1.0
"""Seconds for which an environment goes by the averages it has read."""
_FAILURE_PENALTY = 4.0
"""An instance whose every answer is a failure counts as five times as slow."""
_WORTH_TELLING = 0.8

_run = script(Path(__file__).with_suffix(".lua"))
_pause = Pause()


@dataclass(frozen=True, slots=True)
class Speed:
    """What is known of an instance: milliseconds an answer takes, share of failures, answers seen."""

    milliseconds: float
    failures: float
    answers: int


@dataclass(frozen=True, slots=True)
class Factor:
    """What an instance's weight is multiplied by, and why."""

    factor: float
    reason: str


_known: dict[str, tuple[dict[str, Speed], float]] = {}


def factors(key: str, instances: Sequence[Instance]) -> dict[str, float]:
    """Return what each instance's weight is multiplied by; nothing where too little is known."""
    known, until = _known.get(key, ({}, 0.0))
    if time.monotonic() >= until:
        before = judge(known, instances)
        known = _look(key)
        _known[key] = (known, time.monotonic() + FRESH)
        _log_changes(key, before, judge(known, instances))
    return {name: found.factor for name, found in judge(known, instances).items()}


def judge(known: Mapping[str, Speed], instances: Sequence[Instance]) -> dict[str, Factor]:
    """Return the factor of each instance of which enough is known."""
    scores = {
        item.id: _score(known[item.id], item.cost)
        for item in instances
        if item.id in known and known[item.id].answers >= ENOUGH
    }
    if not scores:
        return {}
    best = min(scores.values())
    found = {}
    for item in instances:
        if item.id not in scores:
            continue
        factor = max(FLOOR, (best / scores[item.id]) ** 2)
        speed = known[item.id]
        reason = (
            f"{speed.milliseconds:.0f} ms, {speed.failures:.0%} failures, cost {item.cost:g}: "
            f"{scores[item.id] / best:.1f} times the best"
        )
        found[item.id] = Factor(round(factor, 4), reason)
    return found


def note(key: str, instance: str, seconds: float, *, failed: bool) -> None:
    """Note how long an answer took; never raises."""
    if _pause.active():
        return
    try:
        with cache.translated():
            _run((_key(key),), (instance, f"{seconds * 1000:.3f}", "1" if failed else "0"))
    except (UnavailableError, ConfigurationError) as error:
        _give_up(error)


def speeds(key: str) -> dict[str, Speed]:
    """Return what is known of a service's instances. Raises UnavailableError without Redis."""
    with cache.translated():
        kept = cache.client().hgetall(_key(key))
    found = {}
    for name, text in dict(kept).items():
        took, failed, seen = str(text).split()
        found[str(name)] = Speed(float(took), float(failed), int(seen))
    return found


def forget() -> None:
    """Become an environment that knows no instance."""
    _known.clear()
    _pause.end()


def _score(speed: Speed, cost: float) -> float:
    return max(speed.milliseconds, 0.1) * (1 + _FAILURE_PENALTY * speed.failures) * max(cost, 0.01)


def _look(key: str) -> dict[str, Speed]:
    if _pause.active():
        return {}
    try:
        return speeds(key)
    except (UnavailableError, ConfigurationError) as error:
        _give_up(error)
        return {}


def _log_changes(key: str, before: Mapping[str, Factor], after: Mapping[str, Factor]) -> None:
    """Say why the share of an instance has changed markedly."""
    for name, now in after.items():
        then = before[name].factor if name in before else 1.0
        if min(then, now.factor) < _WORTH_TELLING * max(then, now.factor):
            logger().info(
                "share of an instance changed",
                extra={
                    "target": key,
                    "instance": name,
                    "from": then,
                    "to": now.factor,
                    "reason": now.reason,
                },
            )


def _give_up(error: UnavailableError | ConfigurationError) -> None:
    _pause.begin()
    logger().warning("weights are not adapted", extra={"reason": error.detail})


def _key(key: str) -> str:
    return f"route:{{{key}}}:speed"
