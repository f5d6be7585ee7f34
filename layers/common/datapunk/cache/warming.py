"""Warming: what is read most is in Redis before somebody asks, also after Redis has lost everything.

Redis counts the reads (`scripts/read.lua`); a schedule adds them up in the database, where they halve with
each run, and loads the first of them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from datapunk.cache import shared
from datapunk.cache.namespaces import Namespace
from datapunk.cache.reading import PRELOADED, refresh
from datapunk.cache.repair import SQL
from datapunk.cache.values import Cached
from datapunk.context import remaining_seconds
from datapunk.database import load_queries, transaction
from datapunk.identity import SYSTEM

_TAKEN = 64
_RESERVE = 5.0


def warm(cached: Cached[Any]) -> dict[str, int]:
    """Load what is read most and is not in Redis; return how many keys are hot, and how many were loaded.

    Raises UnavailableError when Redis or the database does not answer.
    """
    hot = _hottest(cached.namespace)
    shared.keep_hottest(cached.namespace, hot[:PRELOADED])
    loaded = 0
    for tenant, key in hot:
        if remaining_seconds() < _RESERVE:
            break
        loaded += refresh(cached, tenant, key).answered == "miss"
    return {"hot": len(hot), "loaded": loaded}


def _hottest(namespace: Namespace) -> list[tuple[str, str]]:
    """Add what was counted since the last run to what is known; return tenant and key, hottest first."""
    if namespace.sensitivity == "personal":
        # Redis knows only digests of the keys.
        return []
    queries = load_queries(SQL)
    counted = shared.take_heat(namespace, _TAKEN)
    with transaction(SYSTEM) as tx:
        tx.execute(queries["cool"], {"namespace": namespace.name})
        for member, heat in counted.items():
            tenant, _, key = member.partition(":")
            row = {"namespace": namespace.name, "tenant": unquote(tenant), "key": key}
            tx.execute(queries["add_heat"], {**row, "heat": heat})
        tx.execute(queries["forget_cold"], {"namespace": namespace.name})
        rows = tx.all(queries["find_hot"], {"namespace": namespace.name, "limit": namespace.warmed})
    return [(row["tenant"], row["key"]) for row in rows]
