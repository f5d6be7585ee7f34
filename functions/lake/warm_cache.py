"""Every minute: see that the definitions of datasets that are read most are in the cache."""

from typing import Any

from datapunk.cache.warming import warm
from datapunk.lake.definitions import DEFINITIONS
from datapunk.schedule import scheduled_function


@scheduled_function("lake.warm_cache")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is loaded twice is loaded once
    """Report how many definitions are hot, and how many of them had to be loaded."""
    return dict(warm(DEFINITIONS))
