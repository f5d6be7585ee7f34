"""How a service finds another: the instances that can take work, remembered for 5 s."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from datapunk.context import current
from datapunk.errors import UnavailableError
from datapunk.identity import Caller
from datapunk.registry.model import Instance, Status
from datapunk.registry.store import instances
from datapunk.telemetry import count, logger

FRESH = 5.0
"""Seconds for which an environment does not ask again."""
STALE = 300.0
"""Seconds for which it goes on with what it knows while Redis does not answer."""
_MOST_KNOWN = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    found: tuple[Instance, ...]
    at: float
    again: float
    """When to ask again, as `at` in seconds of the monotonic clock."""


_known: dict[tuple[str, str], _Known] = {}


def discover(service: str, *, tenant: str | None = None) -> tuple[Instance, ...]:
    """Return the instances of `service` that can take work, in order of their ids; none is an empty tuple.

    These are the platform's, or else those of `tenant` (the current caller's by default). One that warns
    counts, with its weight for that; one that is critical does not. An answer may be 5 s old, and 300 s
    while Redis does not answer. Raises UnavailableError when Redis does not answer and nothing is known.
    """
    if tenant is None:
        work = current()
        tenant = (work.caller if work else Caller()).tenant
    now = time.monotonic()
    known = _known.get((tenant, service))
    if known and now < known.again:
        return known.found
    try:
        everything, _ = instances(tenant, service)
    except UnavailableError as error:
        if known is None or now - known.at >= STALE:
            raise
        count("registry_stale_total", service=service)
        logger().warning("discovery goes on with what is known", extra={"reason": error.detail})
        _known[tenant, service] = replace(known, again=time.monotonic() + FRESH)
        return known.found
    found = tuple(item for item in everything if item.status is not Status.CRITICAL)
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[tenant, service] = _Known(found, now, now + FRESH)
    return found


def forget() -> None:
    """Become an environment that knows nobody."""
    _known.clear()
