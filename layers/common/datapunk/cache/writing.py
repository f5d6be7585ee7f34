"""Write-through: the database first, then Redis, in the request itself.

Whatever happens to Redis, the write has succeeded once it is committed. What Redis did not get is pending
(`repair`), and nobody reads an older value from it for longer than the contract allows.
"""

from __future__ import annotations

import functools
from typing import TypeVar

from datapunk.cache import clock, shared
from datapunk.cache.local import LOCAL, LocalEntry
from datapunk.cache.namespaces import NAMESPACES, Namespace, Place
from datapunk.cache.repair import SQL, bring, wall_ms
from datapunk.cache.shared import Write
from datapunk.cache.values import Cached
from datapunk.database import Transaction, load_queries
from datapunk.errors import DatapunkError, FieldError, NotFoundError
from datapunk.telemetry import count, logger, observe

Value = TypeVar("Value")


def stage(
    tx: Transaction, cached: Cached[Value], key: str, value: Value | None, *, cause: str
) -> int:
    """Add to a change of the caller's tenant that `key` now has `value` (None: was deleted).

    Returns the version, which is the position of the write (`freshness.position`). The value reaches Redis
    when the transaction has committed. Call it after the change itself, as late as possible: until the
    commit, other writers of the key wait.
    """
    place = cached.place(tx.caller.tenant, key)
    text = None if value is None else cached.encode(value)
    began, since_ms = clock.now(), wall_ms()
    version = int(
        tx.value(
            load_queries(SQL)["stage"],
            {
                "namespace": cached.namespace.name,
                "tenant": place.tenant,
                "key": key,
                "version": clock.CLOCK.tick(),
                "value": text,
                "cause": cause,
            },
        )
    )
    clock.CLOCK.see(version)
    write = Write(place, version, text, cause, since_ms)
    entry = LocalEntry(value, version, len(text or ""), began)
    tx.after_commit.append(functools.partial(_committed, cached, write, entry))
    return version


def invalidate(namespace: str, tenant: str | None, key: str | None, cause: str) -> Namespace:
    """Void a value of a tenant's, all of them (no `key`), or the whole namespace (no `tenant` either).

    Other environments may answer from their memory for `local.MAX_AGE` seconds more. Raises NotFoundError for
    an unknown namespace, UnavailableError when Redis does not answer.
    """
    known = NAMESPACES.get(namespace)
    if known is None:
        raise NotFoundError(
            f"There is no namespace called {namespace}; there are: {', '.join(NAMESPACES)}.",
            errors=[FieldError("namespace", "does not exist", "not_found")],
        )
    LOCAL.clear()
    if tenant is not None and key is not None:
        shared.drop(Place(known, tenant, key), cause)
    else:
        shared.void(known, tenant, cause)
    count("cache_invalidations_total", namespace=namespace)
    return known


def _committed(cached: Cached[Value], write: Write, entry: LocalEntry) -> None:
    """Bring a committed write to both levels. Never raises: the write has succeeded."""
    place = write.place
    LOCAL.put(cached.address(place.tenant, place.key), entry)
    try:
        bring([write])
    except DatapunkError as error:
        count("cache_writes_pending_total", namespace=place.namespace.name)
        logger().warning("cache waits for repair", extra={"reason": error.detail})
    except Exception:  # noqa: BLE001 -- see above
        logger().exception("cache waits for repair")
    else:
        observe("cache_lag_seconds", clock.age(entry.since), namespace=place.namespace.name)
