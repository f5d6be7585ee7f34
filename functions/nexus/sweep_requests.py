"""Every minute: start accepted requests that nobody has begun or finished, remove answers after their day."""

from typing import Any

from datapunk.nexus.routing.requests import sweep
from datapunk.schedule import scheduled_function


@scheduled_function("nexus.sweep_requests")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- who starts twice starts once
    """Nothing accepted is lost, though an event or a worker may be."""
    return sweep()
