"""Reading through both levels: memory, Redis, and the database for who finds nothing there.

`read` must not be called within a transaction: it may open its own.
"""

from __future__ import annotations

import time
from typing import TypeVar

from datapunk.cache import clock, connection, repair, shared
from datapunk.cache.local import LOCAL, LocalEntry
from datapunk.cache.shared import Answer
from datapunk.cache.values import Cached, Found, Level, loader
from datapunk.database import load_queries, transaction
from datapunk.errors import DatapunkError, UnavailableError
from datapunk.telemetry import count, logger, observe

Value = TypeVar("Value")
WAIT_SECONDS = 0.5
"""How long a reader waits for another one that loads the value, before it reads the database itself."""
PRELOADED = 8
"""Values that an environment takes into its memory when it first asks Redis for one of them."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.05
_preloaded: set[str] = set()


def read(cached: Cached[Value], tenant: str, key: str, *, at_least: int = 0) -> Found[Value]:
    """Return a value of a tenant's, never older than the contract allows, nor than the version `at_least`.

    Raises UnavailableError when it must be read from the database and that does not answer.
    """
    name = cached.namespace.name
    entry = LOCAL.get(cached.address(tenant, key))
    known = entry is not None and entry.version >= at_least
    observe("cache_hit_ratio", int(known), "None", level="l1", namespace=name)
    if entry is not None and known:
        return Found(entry.value, entry.version, "hit-l1")
    if not shared.paused():
        try:
            found = _from_redis(cached, tenant, key, at_least)
        except UnavailableError as error:
            if error.dependency != connection.DEPENDENCY:
                raise
            logger().warning("cache passed over", extra={"reason": error.detail})
        else:
            hit = found.answered == "hit-l2"
            observe("cache_hit_ratio", int(hit), "None", level="l2", namespace=name)
            return found
    count("cache_bypass_total", namespace=name)
    return _from_database(cached, tenant, key, "bypass")


def load(cached: Cached[Value], tenant: str, key: str) -> Found[Value]:
    """Return a value as the database has it now, whatever is cached."""
    return _from_database(cached, tenant, key, "bypass")


def forget() -> None:
    """Become an environment that has read nothing."""
    LOCAL.clear()
    _preloaded.clear()
    shared.forget()


def refresh(cached: Cached[Value], tenant: str, key: str) -> Found[Value]:
    """See that Redis has a value, without counting that as a reading of it.

    Raises UnavailableError when Redis or the database does not answer.
    """
    return _from_redis(cached, tenant, key, 0, counted=False)


def _from_redis(
    cached: Cached[Value], tenant: str, key: str, at_least: int, *, counted: bool = True
) -> Found[Value]:
    if cached.namespace.name not in _preloaded:
        _preload(cached)
    place = cached.place(tenant, key)
    began = clock.now()
    answer = shared.read(place, counted=counted)
    if answer.sweep and not _swept(answer) and answer.word == "unswept":
        return _from_database(cached, tenant, key, "bypass")
    if answer.word == "unswept":
        began = clock.now()
        answer = shared.read(place, counted=counted)
    pause, give_up = _FIRST_PAUSE, time.monotonic() + WAIT_SECONDS
    while answer.word == "wait" and time.monotonic() < give_up:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        began = clock.now()
        answer = shared.read(place, counted=False)
    if answer.word in ("load", "renew"):
        return _loaded(cached, tenant, key, answer)
    if answer.word != "hit":
        return _from_database(cached, tenant, key, "miss")
    if answer.version < at_least:
        return _from_database(cached, tenant, key, "bypass")
    try:
        return _remembered(cached, tenant, key, answer, began)
    except ValueError:
        # Written by another release: this one cannot read it, and writes its own.
        shared.drop(place, "unreadable")
        return _from_database(cached, tenant, key, "bypass")


def _remembered(
    cached: Cached[Value], tenant: str, key: str, answer: Answer, began: tuple[float, float]
) -> Found[Value]:
    """Return what Redis has, and keep it in memory."""
    value = None if answer.value is None else cached.decode(answer.value)
    clock.CLOCK.see(answer.version)
    entry = LocalEntry(value, answer.version, len(answer.value or ""), began)
    LOCAL.put(cached.address(tenant, key), entry)
    return Found(value, answer.version, "hit-l2")


def _loaded(cached: Cached[Value], tenant: str, key: str, answer: Answer) -> Found[Value]:
    """Read the database for all who wait, and keep what it says in Redis."""
    found = _from_database(cached, tenant, key, "miss")
    text = None if found.value is None else cached.encode(found.value)
    if text is None or shared.fits(cached.namespace, text):
        try:
            kept = shared.fill(cached.place(tenant, key), answer, found.version, text)
        except UnavailableError as error:
            logger().warning("cache not filled", extra={"reason": error.detail})
        else:
            if not kept:
                count("cache_fills_lost_total", namespace=cached.namespace.name)
    return found


def _from_database(cached: Cached[Value], tenant: str, key: str, answered: Level) -> Found[Value]:
    began = clock.now()
    parameters = {"namespace": cached.namespace.name, "tenant": tenant, "key": key}
    with transaction(loader(tenant)) as tx:
        # The version first: a write in between makes the value newer than it says, never older.
        version = int(tx.value(load_queries(repair.SQL)["find_version"], parameters) or 0)
        value = cached.load(tx, key)
    clock.CLOCK.see(version)
    size = 0 if value is None else len(cached.encode(value))
    LOCAL.put(cached.address(tenant, key), LocalEntry(value, version, size, began))
    return Found(value, version, answered)


def _swept(answer: Answer) -> bool:
    """Look for pending writes; tell whether all of them are in Redis now."""
    try:
        return repair.sweep(answer.now_ms).complete
    except DatapunkError as error:
        logger().warning("writes not looked for", extra={"reason": error.detail})
        return False


def _preload(cached: Cached[Value]) -> None:
    """Take what is read most into memory, as far as Redis has it."""
    _preloaded.add(cached.namespace.name)
    for tenant, key in shared.hottest(cached.namespace):
        began = clock.now()
        answer = shared.read(cached.place(tenant, key), counted=False, loads=False)
        if answer.word == "hit":
            try:
                _remembered(cached, tenant, key, answer, began)
            except ValueError:
                continue
