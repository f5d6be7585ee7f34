"""Every minute: bring to Redis the committed writes it has not got, forget versions nothing refers to."""

from typing import Any

from datapunk.cache.repair import pending, purge, sweep_all
from datapunk.schedule import scheduled_function
from datapunk.telemetry import observe


@scheduled_function("nexus.repair_cache")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is brought twice is brought once
    """Report how many writes were repaired, and how many still wait."""
    try:
        repaired = sweep_all().repaired
    finally:
        waiting = pending()
        observe("cache_writes_waiting", waiting, "Count", service="nexus")
    return {"repaired": repaired, "waiting": waiting, "forgotten": purge()}
