"""Answers kept in Redis, as a shared cache may keep them (RFC 9111), never for who may not see them.

An answer is kept only if the rule says so, for GET, with a status that may be kept, and unless the service
forbids it. The key holds the rule's version, so that a changed rule begins anew.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, replace

import orjson

from datapunk import cache
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.identity import Caller
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.rules import CacheRule
from datapunk.scripts import Pause
from datapunk.telemetry import count, logger

MOST_BYTES = 512 * 1024
"""Bytes of an answer that is kept; Redis is no place for large ones."""
_KEPT = frozenset({200, 203, 204, 301, 404, 410})
"""Statuses whose answers may be kept for long (RFC 9110, 15.1); partial ones are not understood here."""
_DIRECTIVE = re.compile(r'([a-z-]+)(?:\s*=\s*"?([^",]*)"?)?', re.IGNORECASE)
_pause = Pause()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer to a request is kept, and for how long at most."""

    key: str
    rule: CacheRule


def place_of(
    name: str, version: int, rule: CacheRule | None, request: Request, caller: Caller
) -> Place | None:
    """Return where the answer is kept; None where it must not be.

    `request` is as the service sees it, but with all headers of the caller.
    """
    if rule is None or request.method != "GET" or request.body or request.header("range"):
        return None
    if "no-store" in directives(request.header("cache-control")):
        return None
    shared: list[object] = []
    if rule.scope != "public":
        shared = [caller.tenant, sorted(caller.roles), sorted(caller.scopes)]
    if rule.scope == "caller":
        shared += [caller.principal, caller.actors]
    vary = {name: request.header(name) for name in sorted({*rule.vary, "accept"})}
    parts = [name, version, request.path, sorted(request.query), vary, shared]
    digest = hashlib.sha256(orjson.dumps(parts)).hexdigest()
    return Place(f"route:answer:{digest}", rule)


def find(place: Place, request: Request) -> Answer | None:
    """Return the kept answer, with its age; None when there is none or the caller wants a fresh one."""
    asked = directives(request.header("cache-control"))
    if "no-cache" in asked or _pause.active():
        return None
    try:
        with cache.translated():
            kept = cache.client().get(place.key)
    except (UnavailableError, ConfigurationError) as error:
        _give_up(error)
        return None
    if kept is None:
        count("route_cache_misses_total", service="nexus")
        return None
    document = orjson.loads(str(kept))
    age = max(0, int(time.time() - document["at"]))
    limit = _seconds(asked.get("max-age"))
    if limit is not None and age > limit:
        return None
    count("route_cache_hits_total", service="nexus")
    return replace(Answer.from_json(document), notes={"X-Cache": "HIT", "Age": str(age)})


def keep(place: Place, answer: Answer, changed: Answer) -> None:
    """Keep an answer, as the rule has changed it, for as long as rule and service allow; never raises."""
    seconds = lifetime(place.rule, answer)
    if not seconds or len(changed.body) > MOST_BYTES or _pause.active():
        return
    document = orjson.dumps({**changed.to_json(), "at": time.time()})
    try:
        with cache.translated():
            cache.client().set(place.key, document.decode(), ex=seconds)
    except (UnavailableError, ConfigurationError) as error:
        _give_up(error)


def lifetime(rule: CacheRule, answer: Answer) -> int:
    """Return for how many seconds an answer may be kept; 0 for not at all."""
    if answer.status not in _KEPT or answer.header("set-cookie"):
        return 0
    said = directives(answer.header("cache-control"))
    if "no-store" in said or "no-cache" in said or ("private" in said and rule.scope != "caller"):
        return 0
    varies = {part.strip().lower() for part in answer.header("vary").split(",") if part.strip()}
    # The service says that it looks at more than the key holds. It never sees what is encoded how.
    if not varies <= {*rule.vary, "accept", "accept-encoding"}:
        return 0
    limits = [_seconds(said[name]) for name in ("s-maxage", "max-age") if name in said]
    age = _seconds(answer.header("age")) or 0
    return max(0, min(rule.ttl_seconds, (limits[0] or 0) - age if limits else rule.ttl_seconds))


def directives(value: str) -> dict[str, str]:
    """Return the directives of a `Cache-Control` header, names in lower case."""
    return {match[1].lower(): match[2] or "" for match in _DIRECTIVE.finditer(value)}


def forget() -> None:
    """Become an environment that has not met Redis yet."""
    _pause.end()


def _seconds(text: str | None) -> int | None:
    """Return a number of seconds; one that cannot be read is 0, which forbids keeping (RFC 9111, 4.2.1)."""
    if not text and text != "":
        return None
    return int(text) if text.isdecimal() else 0


def _give_up(error: UnavailableError | ConfigurationError) -> None:
    _pause.begin()
    logger().warning("answers are not kept", extra={"reason": error.detail})
