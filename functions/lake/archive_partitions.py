"""Every day: move months that are older than their dataset keeps rows for from its table to storage."""

import datetime as dt
from typing import Any

from datapunk.lake.archives.moving import archive_partitions
from datapunk.outbox import relay_now
from datapunk.schedule import scheduled_function
from datapunk.telemetry import observe


@scheduled_function("lake.archive_partitions")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- a month is dropped once, whoever copied it
    """Report how many months and rows were archived, and why how many months were left."""
    outcome = archive_partitions(dt.datetime.now(dt.UTC).date())
    observe("archived_rows", outcome["rows"], "Count", service="lake")
    observe("months_not_archived", sum(outcome["left"].values()), "Count", service="lake")
    relay_now()
    return outcome
