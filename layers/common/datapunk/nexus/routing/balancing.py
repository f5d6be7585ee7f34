"""Choosing an instance: smooth weighted round robin, and leaving out those that fail.

Turns and failures are counted in Redis by all environments together, one call for each choice. An instance
that fails several times in a row is ejected, each time for longer; after that time one request, and no
second one, tries it. Without Redis each environment counts for itself, by the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datapunk import cache
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.nexus.routing import local_balancing
from datapunk.nexus.routing.rules import Ejection
from datapunk.scripts import Pause, script
from datapunk.telemetry import count, logger

PATIENCE = 10.0
"""Seconds that an ejected instance waits for a request that may be repeated, before any other may try it."""

Outcome = Literal["ok", "failed", "unknown"]

_run = script(Path(__file__).with_suffix(".lua"))
_pause = Pause()


@dataclass(frozen=True, slots=True)
class Member:
    """An instance that may be chosen; weights are compared with each other."""

    id: str
    weight: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A choice. `probe`: it is the one request that tries a failed instance."""

    service: str
    instance: str
    probe: bool = False
    shaky: bool = False
    """Whether it has failed of late, so that its success matters."""
    local: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is known of an instance that has failed. Times are in milliseconds since the epoch."""

    failures: int
    ejections: int
    ejected_until: int
    probed_until: int
    recovered_at: int


def pick(
    service: str,
    rule: str,
    members: Sequence[Member],
    *,
    repeatable: bool,
    lease: float,
    excluded: Collection[str] = (),
) -> Turn:
    """Choose one of the members for a request of `rule`.

    `lease` is how many seconds a probe may take. Only a `repeatable` request tries a failed instance, unless
    none came for `PATIENCE` seconds. Raises UnavailableError, with the time until one may be tried, when all
    are ejected or excluded.
    """
    if not members:
        raise UnavailableError(service, f"No instance of {service} is healthy.", retry_after=5)
    ordered = sorted(members, key=lambda member: member.id)
    place, word, local = _pick(service, rule, ordered, repeatable, lease, excluded)
    if place == 0:
        raise UnavailableError(
            service,
            f"No instance of {service} can be tried now.",
            retry_after=max(1, math.ceil(int(word) / 1000)),
        )
    return Turn(
        service,
        ordered[place - 1].id,
        probe=word == "probe",
        shaky=word == "shaky",
        local=local,
    )


def tell(turn: Turn, outcome: Outcome, policy: Ejection) -> None:
    """Tell how a request to the chosen instance went; never raises."""
    if outcome != "failed" and not turn.probe and not turn.shaky:
        return
    arguments = (
        "tell",
        turn.instance,
        "1" if turn.probe else "0",
        outcome,
        str(policy.failures),
        f"{policy.base_seconds * 1000:.0f}",
        f"{policy.most_seconds * 1000:.0f}",
    )
    if turn.local or _pause.active():
        told = local_balancing.tell(turn.service, *arguments[1:])
    else:
        try:
            with cache.translated():
                told = _run(_keys(turn.service, ""), arguments)
        except (UnavailableError, ConfigurationError) as error:
            _fall_back(error)
            told = local_balancing.tell(turn.service, *arguments[1:])
    if told != "kept":
        word, _, _ = told.partition(" ")
        count(f"route_instances_{word}_total", service=turn.service)
        logger().warning(
            "instance %s", word, extra={"target": turn.service, "instance": turn.instance}
        )


def states(service: str) -> dict[str, State]:
    """Return what is known of the instances that have failed. Raises UnavailableError without Redis."""
    with cache.translated():
        kept = cache.client().hgetall(_keys(service, "")[1])
    return {str(name): State(*map(int, str(text).split())) for name, text in dict(kept).items()}


def forget() -> None:
    """Become an environment that has counted nothing."""
    _pause.end()
    local_balancing.forget()


def _pick(
    service: str,
    rule: str,
    members: Sequence[Member],
    repeatable: bool,  # noqa: FBT001
    lease: float,
    excluded: Collection[str],
) -> tuple[int, str, bool]:
    arguments = [f"{lease * 1000:.0f}", "1" if repeatable else "0", f"{PATIENCE * 1000:.0f}"]
    for member in members:
        arguments += (member.id, f"{member.weight:.6g}", "1" if member.id in excluded else "0")
    if not _pause.active():
        try:
            with cache.translated():
                answer = _run(_keys(service, rule), ("pick", *arguments))
        except (UnavailableError, ConfigurationError) as error:
            _fall_back(error)
        else:
            place, _, word = answer.partition(" ")
            return int(place), word, False
    place, _, word = local_balancing.pick(service, rule, *arguments).partition(" ")
    return int(place), word, True


def _fall_back(error: UnavailableError | ConfigurationError) -> None:
    _pause.begin()
    count("route_balancing_local_total", service="nexus")
    logger().warning("instances are chosen without Redis", extra={"reason": error.detail})


def _keys(service: str, rule: str) -> tuple[str, str]:
    """Return the keys of turns and health: in one slot, since one script touches both."""
    return f"route:{{{service}}}:turns:{rule}", f"route:{{{service}}}:health"
