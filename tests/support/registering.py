"""Instances of services to register, and the changes that come of it."""

from __future__ import annotations

from typing import Any

from datapunk import cache
from datapunk.registry import Check, Registration, Status, register
from datapunk.registry.store import key

TENANT = "acme"
OWNER = "service:shop"


def web(name: str = "web-1", **changes: Any) -> Registration:
    """Return an instance of the service `web`."""
    given: dict[str, Any] = {"service": "web", "address": "10.0.0.7", "port": 8000}
    return Registration(id=name, **{**given, **changes})


def ttl(instance: str = "web-1", seconds: float = 15, **changes: Any) -> Check:
    """Return a lease of an instance."""
    name = f"service:{instance}"
    return Check(id=name, instance=instance, kind="ttl", ttl_ms=int(seconds * 1000), **changes)


def join(name: str = "web-1", *, seconds: float = 15, reap_ms: int = -1, **changes: Any) -> int:
    """Register an instance of `web` that passes and has a lease."""
    lease = ttl(name, seconds, reap_ms=reap_ms)
    return register(TENANT, web(name, **changes), [(lease, Status.PASSING)], owner=OWNER)


def changes_of(tenant: str) -> list[tuple[str, str, str]]:
    """Return what has happened and is not yet published: event, state before and after."""
    entries: Any = cache.client().xrange(key(tenant, "changes"))
    return [(item["event"], item["before"], item["after"]) for _, item in entries]
