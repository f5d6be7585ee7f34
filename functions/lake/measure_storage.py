"""Every five minutes: measure how many bytes PostgreSQL, Redis and the bucket hold."""

from typing import Any

from datapunk.lake.storage_usage import measure_storage
from datapunk.schedule import scheduled_function


@scheduled_function("lake.measure_storage", harmless=True)
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- a value too many does no harm
    """Report bytes by store, and what could not be measured."""
    return measure_storage()
