"""Every hour: measure every dataset that has rules of quality, and tell of what got worse."""

from typing import Any

from datapunk.lake.quality.service import measure_all
from datapunk.outbox import relay_now
from datapunk.schedule import scheduled_function


@scheduled_function("lake.measure_quality")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- scores of a run too many do no harm
    """Report how many datasets were measured, how many are left, and how many old scores were forgotten."""
    outcome = measure_all()
    relay_now()
    return dict(outcome)
