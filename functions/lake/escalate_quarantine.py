"""Every quarter of an hour: tell of rows that have waited in quarantine for more than 24 hours."""

from typing import Any

from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.quarantine import escalate
from datapunk.outbox import relay_now
from datapunk.schedule import scheduled_function
from datapunk.telemetry import observe


@scheduled_function("lake.escalate_quarantine")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- a row is told of once, whoever tells
    """Report how many rows were told of, how many wait, and how long the oldest has."""
    with transaction(SYSTEM) as tx:
        outcome = escalate(tx)
    observe("quarantine_rows", outcome["waiting"], "Count", service="lake")
    observe("quarantine_age_seconds", outcome["oldest_seconds"], service="lake")
    relay_now()
    return outcome
