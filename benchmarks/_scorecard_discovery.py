"""The scorecard's row of service discovery: how long callers take to follow an instance that is gone."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Any

from datapunk import registry
from datapunk.nexus.registry.probing import probe_for
from datapunk.registry import Check, Registration, Status, discover
from datapunk.registry.model import INTERVAL

from benchmarks._scorecard_calls import (
    PROCESSES,
    Call,
    Crowd,
    become_environment,
    end_environments,
    failures,
    start_environments,
)
from tests.support.routing import Upstream, add_route, enter, leave, running

MOVES = 3
BETWEEN = 6.7
"""Seconds from one move to the next: no multiple of what environments remember, so that each move comes at
another moment of it."""
LEASE = 10.0
"""Seconds without a heartbeat after which an instance is critical."""
TENANT, OWNER = "public", "service:scorecard"
_GIVE_UP = 60.0


def measure() -> tuple[list[float], int, dict[str, float]]:
    """Return the seconds each move took, the calls that failed meanwhile, and the seconds for killed ones.

    Two instances are killed at once, one with a lease that was renewed just before, one that the platform
    probes. Meanwhile a service that is called all the time moves from one instance to another.
    """
    add_route("moving", service="moving", timeout="ai")
    ready, found = PROCESSES.Barrier(3), PROCESSES.Queue()
    helpers = [
        PROCESSES.Process(target=_watch, args=(kind, ready, found), daemon=True)
        for kind in ("lease", "probe")
    ]
    helpers.append(PROCESSES.Process(target=_probe, daemon=True))
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(running(f"moving-{number}")) for number in range(MOVES + 1)]
        doomed = [stack.enter_context(running(f"{kind}-instance")) for kind in ("lease", "probe")]
        enter(places[0], service="moving")
        for upstream in doomed:
            _register(upstream)
        stack.callback(end_environments, helpers)
        start_environments(helpers)
        crowd = stack.enter_context(Crowd("moving"))
        ready.wait(_GIVE_UP)
        registry.beat(TENANT, "lease-check", owner=OWNER)
        killed = time.monotonic()
        for upstream in doomed:
            upstream.kill()
        moves = _move(places)
        calls = crowd.finish()
        gone = dict(found.get(timeout=_GIVE_UP) for _ in doomed)
    return (
        _followed(calls, moves),
        failures(calls),
        {kind: at - killed for kind, at in gone.items()},
    )


def _move(places: Sequence[Upstream]) -> list[tuple[float, str]]:
    """Move the service from each place to the next; return when, and where to."""
    moves = []
    for old, new in itertools.pairwise(places):
        enter(new, service="moving")
        leave(old.name)
        moves.append((time.monotonic(), new.name))
        time.sleep(BETWEEN)
    return moves


def _followed(calls: Sequence[Call], moves: Sequence[tuple[float, str]]) -> list[float]:
    """Return how long after each move somebody was still answered elsewhere, or not at all."""
    ends = [at for at, _ in moves[1:]] + [float("inf")]
    return [
        max(
            (call.ended - at for call in calls if at < call.ended < end and call.instance != name),
            default=0.0,
        )
        for (at, name), end in zip(moves, ends, strict=True)
    ]


def _register(upstream: Upstream) -> None:
    kind = upstream.name.partition("-")[0]
    check = Check(id=f"{kind}-check", instance=upstream.name, kind="ttl", ttl_ms=int(LEASE * 1000))
    if kind == "probe":
        url = f"http://127.0.0.1:{upstream.port}/health"
        check = Check(id=f"{kind}-check", instance=upstream.name, kind="http", target=url)
    instance = Registration(id=upstream.name, service=kind, address="127.0.0.1", port=upstream.port)
    registry.register(TENANT, instance, [(check, Status.PASSING)], owner=OWNER)


def _watch(service: str, ready: Any, found: Any) -> None:
    """Say when an environment that keeps asking no longer finds the service's instance."""
    become_environment()
    if not discover(service, tenant=TENANT):
        raise SystemExit(f"{service} is not registered.")
    ready.wait(_GIVE_UP)
    while discover(service, tenant=TENANT):
        time.sleep(0.02)
    found.put((service, time.monotonic()))


def _probe() -> None:
    become_environment()
    probe_for(_GIVE_UP, interval=INTERVAL)
