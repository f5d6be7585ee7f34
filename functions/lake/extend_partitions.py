"""Every day: make the partitions of the months to come, and validate rules that wait for it."""

import datetime as dt
from typing import Any

from datapunk.lake.partitions import extend_partitions
from datapunk.schedule import scheduled_function


@scheduled_function("lake.extend_partitions")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is there is not made again
    """Report how many partitions were made, and how many could not be now."""
    return dict(extend_partitions(dt.datetime.now(dt.UTC).date()))
