"""Rate limits: how many requests a client may send, counted in Redis by the generic cell rate algorithm.

A client may send its whole quota at once; within a window, which begins with its first request, exactly the
quota passes. Around the end of a window its right to send comes back evenly, one request every
`window / quota`, so that two quotas cannot follow each other. All functions share the count.

The quota is 1,000 per 60 s unless a row of `nexus.rate_limits` says otherwise for a client, a module or an
operation; limits of a module or an operation are counted apart. When Redis is gone, nothing is limited, a
metric says so, and Redis is left alone for a while (`scripts.PAUSE`), so that no request waits for it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datapunk import cache as redis_cache
from datapunk.errors import ConfigurationError, DatapunkError, UnavailableError
from datapunk.identity import ANONYMOUS, SYSTEM, Caller
from datapunk.scripts import Pause, script
from datapunk.telemetry import count, logger

REFRESH = 60.0
"""Seconds after which limits are read anew: as long as a changed limit takes to count everywhere."""

_SQL = Path(__file__).with_suffix(".sql")
_run = script(Path(__file__).with_suffix(".lua"))
_ANY_TENANT = "*"
_KEY = "key:"


@dataclass(frozen=True, slots=True)
class Policy:
    """So many requests (`quota`) in so many seconds (`window`), counted together as `name`."""

    name: str
    quota: int
    window: int

    @property
    def interval(self) -> int:
        """Microseconds between two requests that are spread out evenly."""
        return math.ceil(self.window * 1_000_000 / self.quota)

    def header(self) -> str:
        """Return the policy as an item of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.quota};w={self.window}'


DEFAULT = Policy("default", 1_000, 60)


@dataclass(frozen=True, slots=True)
class RateState:
    """What the limit says to one request. `remaining` is None where nobody could count.

    `retry_after` and `reset` are whole seconds until one more, and until all of the quota may be sent.
    """

    policy: Policy
    allowed: bool
    remaining: int | None = None
    retry_after: int = 0
    reset: int = 0

    def headers(self) -> dict[str, str]:
        """Return `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers)."""
        headers = {"RateLimit-Policy": self.policy.header()}
        if self.remaining is not None:
            headers["RateLimit"] = f'"{self.policy.name}";r={self.remaining};t={self.reset}'
        return headers


@dataclass(frozen=True, slots=True)
class _Override:
    tenant: str
    subject: str
    policy: Policy
    weight: tuple[bool, bool, bool, bool]


@dataclass(slots=True)
class _Known:
    overrides: tuple[_Override, ...]
    until: float


_known: dict[str, _Known] = {}
"""Limits other than the default by operation."""
_pause = Pause()


def check_rate(caller: Caller, route: str, *, source: str = "") -> RateState:
    """Count a request of `caller` to the operation `route` and say whether it may pass.

    `source` is the network address an anonymous caller is known by. Never raises for a service that is
    gone: the request may pass then.
    """
    subject = client_of(caller, source)
    policy = _policy(caller.tenant, subject, route)
    if _pause.active():
        return _unlimited(policy, route)
    try:
        with redis_cache.translated():
            answer = _count(_key_of(caller.tenant, subject, policy), policy)
    except (UnavailableError, ConfigurationError) as error:
        _pause.begin()
        logger().warning("requests are not limited", extra={"reason": error.detail})
        return _unlimited(policy, route)
    allowed, remaining, wait, reset = answer
    if not allowed:
        count("rate_limited_total", service=_service(route), policy=policy.name)
    return RateState(
        policy=policy,
        allowed=bool(allowed),
        remaining=remaining,
        retry_after=max(1, _seconds(wait)) if not allowed else 0,
        reset=_seconds(reset),
    )


def client_of(caller: Caller, source: str) -> str:
    """Return what a client is counted by: its key, else its principal, else where it comes from."""
    if caller.actors and caller.actors[-1].startswith(_KEY):
        return caller.actors[-1]
    if caller.principal == ANONYMOUS:
        return f"address:{source}"
    return caller.principal


def forget() -> None:
    """Become an environment that knows no limits and no failure."""
    _known.clear()
    _pause.end()


def _count(key: str, policy: Policy) -> tuple[int, int, int, int]:
    answer = _run((key,), (str(policy.interval), str(policy.quota)))
    allowed, remaining, wait, reset = map(int, answer.split())
    return allowed, remaining, wait, reset


def _unlimited(policy: Policy, route: str) -> RateState:
    count("rate_limiter_unavailable_total", service=_service(route))
    return RateState(policy, allowed=True)


def _key_of(tenant: str, subject: str, policy: Policy) -> str:
    """Return the key of a count. Names of clients are digested: they may be long, or say who it is."""
    client = hashlib.sha256(f"{tenant} {subject}".encode("utf-8", "replace")).hexdigest()[:32]
    return f"rate:{{{client}}}:{policy.name}:{policy.quota}:{policy.window}"


def _policy(tenant: str, subject: str, route: str) -> Policy:
    """Return the most specific limit: a client's before an operation's before a module's."""
    fitting = [
        item
        for item in _overrides(route)
        if item.tenant in (tenant, _ANY_TENANT) and item.subject in (subject, "")
    ]
    return max(fitting, key=lambda item: item.weight).policy if fitting else DEFAULT


def _overrides(route: str) -> tuple[_Override, ...]:
    now = time.monotonic()
    known = _known.get(route)
    if known is None or known.until <= now:
        overrides = known.overrides if known else ()
        try:
            overrides = _read(route)
        except DatapunkError as error:
            # What was known goes on to count; the request itself will say what is wrong.
            logger().warning("limits not read", extra={"reason": error.detail})
        known = _known[route] = _Known(overrides, time.monotonic() + REFRESH)
    return known.overrides


def _read(route: str) -> tuple[_Override, ...]:
    from datapunk.database import load_queries, transaction

    with transaction(SYSTEM) as tx:
        rows = tx.all(
            load_queries(_SQL)["find_limits"], {"service": _service(route), "route": route}
        )
    return tuple(_override(row) for row in rows)


def _override(row: Mapping[str, str | int]) -> _Override:
    tenant, subject = str(row["tenant"]), str(row["subject"])
    name = str(row["route"] or row["service"] or DEFAULT.name)
    return _Override(
        tenant=tenant,
        subject=subject,
        policy=Policy(name, int(row["quota"]), int(row["window_seconds"])),
        weight=(bool(subject), bool(row["route"]), bool(row["service"]), tenant != _ANY_TENANT),
    )


def _service(route: str) -> str:
    return route.partition(".")[0]


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)
