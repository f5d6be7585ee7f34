"""How many bytes PostgreSQL, Redis and the bucket hold: `storage_usage{storage_type,schema}`.

The stores do not depend on each other: one that does not answer is named, and the others are measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from datapunk.aws import STORE, client_of, translated
from datapunk.cache.connection import client
from datapunk.cache.connection import translated as translated_cache
from datapunk.context import remaining_seconds
from datapunk.database import load_queries, transaction
from datapunk.errors import (
    ConfigurationError,
    ContentionError,
    DeadlineExceededError,
    UnavailableError,
)
from datapunk.settings import settings
from datapunk.telemetry import logger, observe

_SQL = Path(__file__).with_suffix(".sql")
_LONGEST_QUERY = 15.0
"""Seconds PostgreSQL gets: asking for a table's size waits for whoever changes the table."""
_RESERVE = 5.0
"""Seconds of the run that listing leaves."""
MOST_CALLS = 100
"""Calls that list one prefix."""
PAGE = 1_000
"""Objects of one call."""
MOST_PREFIXES = 50
_FAILURES = (ConfigurationError, ContentionError, DeadlineExceededError, UnavailableError)
WHOLE = "all"
"""The schema of a store that has none."""
ROOT = "/"
"""The schema of objects without a prefix."""


class _TooManyError(Exception):
    """There is more than one run may look at."""


def measure_storage() -> dict[str, Any]:
    """Write a value for each store and schema; return bytes by store, and what could not be measured.

    That is a store, or a prefix as `s3 <prefix>`: no value of it is written, since a part of it would look
    like all.
    """
    left: list[str] = []
    stores: dict[str, Callable[[], Mapping[str, int]]] = {
        "postgresql": _in_database,
        "redis": in_cache,
        STORE: partial(_in_bucket, left),
    }
    totals: dict[str, int] = {}
    for store, measure in stores.items():
        try:
            sizes = measure()
        except _FAILURES as error:
            left.append(store)
            logger().warning("storage is not measured", extra={"store": store, "code": error.code})
            continue
        for schema, size in sizes.items():
            observe("storage_usage", size, "Bytes", storage_type=store, schema=schema)
        totals[store] = sum(sizes.values())
    return {"bytes": totals, "left": sorted(left)}


def _in_database() -> dict[str, int]:
    with transaction() as tx:
        seconds = min(_LONGEST_QUERY, max(remaining_seconds(), 0.001))
        tx.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(seconds * 1000)),))
        return {row["schema"]: row["bytes"] for row in tx.all(load_queries(_SQL)["by_schema"])}


def in_cache() -> dict[str, int]:
    """Return `used_memory` of Redis; of a cluster that of all primaries, whose copies the replicas are."""
    with translated_cache():
        server: Any = client()
        if not hasattr(server, "get_primaries"):
            return {WHOLE: int(server.info("memory")["used_memory"])}
        told = server.info("memory", target_nodes=type(server).PRIMARIES)
        # The client of a cluster answers without names of nodes where there is one only.
        nodes = [told] if "used_memory" in told else told.values()
        return {WHOLE: sum(int(node["used_memory"]) for node in nodes)}


def _in_bucket(left: list[str]) -> dict[str, int]:
    """Return what the newest versions of objects take, by what comes before the first slash of their keys."""
    sizes: Counter[str] = Counter()
    prefixes: list[str] = []
    with translated(STORE):
        try:
            for page in _pages(Delimiter="/"):
                prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
                sizes[ROOT] += _bytes(page)
        except _TooManyError:
            del sizes[ROOT]
            left.append(f"{STORE} {ROOT}")
        left += [f"{STORE} {prefix}" for prefix in prefixes[MOST_PREFIXES:]]
        for prefix in prefixes[:MOST_PREFIXES]:
            try:
                sizes[prefix.removesuffix("/")] = sum(map(_bytes, _pages(Prefix=prefix)))
            except _TooManyError:
                left.append(f"{STORE} {prefix}")
    return sizes


def _pages(**asked: str) -> Iterator[dict[str, Any]]:
    """Yield lists of objects. Raises _TooManyError when there are more than calls or seconds are left for."""
    more: dict[str, str] = {}
    for _ in range(MOST_CALLS):
        if remaining_seconds() < _RESERVE:
            break
        page = client_of(STORE).list_objects_v2(
            Bucket=settings().bucket(), MaxKeys=PAGE, **asked, **more
        )
        yield page
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}
    raise _TooManyError


def _bytes(page: dict[str, Any]) -> int:
    return sum(item["Size"] for item in page.get("Contents", ()))
