"""Writes that Redis has not got: found in the database, brought to Redis, and known to be there.

A write is pending in `platform.cache_writes` from its own transaction on until Redis has it. Whoever reads
from Redis relies on somebody having looked for pending writes within the last seconds
(`shared.SWEPT_SECONDS`): the readers do it for each other, a schedule does it every minute.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datapunk.cache import shared
from datapunk.cache.namespaces import NAMESPACES, Place
from datapunk.cache.shared import Write
from datapunk.commits import nothing_added
from datapunk.context import remaining_seconds
from datapunk.database import Transaction, load_queries, transaction
from datapunk.identity import SYSTEM
from datapunk.telemetry import count, logger, observe

BATCH = 200
"""Pending writes that one reader brings to Redis at most."""
KEEP_SECONDS = 86_400
"""How long the version of a key is remembered after its last write. No clock is wrong by as much."""
_RESERVE = 10.0
SQL = Path(__file__).with_name("writes.sql")


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has found and done; `complete` when nothing was left."""

    repaired: int
    complete: bool


def sweep(until_ms: int | None = None) -> Swept:
    """Bring pending writes to Redis. When none is left, readers may trust it for some seconds more.

    `until_ms` is a time of Redis' clock that has passed. Raises UnavailableError when the database or Redis
    does not answer.
    """
    until_ms = shared.server_ms() if until_ms is None else until_ms
    since_ms = wall_ms()
    with nothing_added(), transaction(SYSTEM) as tx:
        rows = tx.all(load_queries(SQL)["find_pending"], {"limit": BATCH})
    writes = []
    for row in rows:
        namespace = NAMESPACES.get(row["namespace"])
        if namespace is None:
            # A release that knows the namespace has written it, and will look for it.
            logger().warning("unknown namespace", extra={"namespace": row["namespace"]})
            continue
        observe("cache_lag_seconds", row["seconds"], namespace=namespace.name)
        place = Place(namespace, row["tenant"], row["key"])
        writes.append(Write(place, row["version"], row["value"], row["cause"], since_ms))
    brought = bring(writes) if writes else 0
    if brought:
        count("cache_repairs_total", brought)
    complete = len(rows) < BATCH and brought == len(writes)
    if complete:
        shared.mark_swept(until_ms)
    return Swept(brought, complete)


def sweep_all() -> Swept:
    """Bring pending writes to Redis until none is left or the time is up."""
    repaired = 0
    while True:
        swept = sweep()
        repaired += swept.repaired
        if swept.complete or not swept.repaired or remaining_seconds() < _RESERVE:
            return Swept(repaired, swept.complete)


def bring(writes: Sequence[Write]) -> int:
    """Put writes into Redis and note that they are there; return how many came in time.

    The database has the last word: what another write has overtaken in the meantime is taken out of Redis
    again, and so is what Redis believes to be later than the last write.
    """
    in_time = [(write, outcome) for write in writes if (outcome := shared.put(write)) != "late"]
    with nothing_added(), transaction(SYSTEM) as tx:
        tx.execute(load_queries(SQL)["forgive_loss"])
        for write, outcome in in_time:
            is_last = _settle(tx, write)
            if outcome == "older":
                count("cache_conflicts_total", namespace=write.place.namespace.name)
                if is_last:
                    shared.drop(write.place, "conflict")
            elif not is_last:
                shared.drop(write.place, "overtaken", version=write.version)
    return len(in_time)


def pending() -> int:
    """Return how many writes Redis has not got."""
    with transaction(SYSTEM) as tx:
        return int(tx.value(load_queries(SQL)["count_pending"]))


def purge() -> int:
    """Forget versions of keys whose values have long gone from Redis; return how many."""
    with transaction(SYSTEM) as tx:
        return tx.execute(load_queries(SQL)["purge"], {"seconds": KEEP_SECONDS})


def wall_ms() -> int:
    """Return the time by this machine's clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _settle(tx: Transaction, write: Write) -> bool:
    """Note that Redis has a write; tell whether it is still the last one of its key."""
    place = write.place
    parameters = {
        "namespace": place.namespace.name,
        "tenant": place.tenant,
        "key": place.key,
        "version": write.version,
    }
    return tx.execute(load_queries(SQL)["settle"], parameters) == 1
