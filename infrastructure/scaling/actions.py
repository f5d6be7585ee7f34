"""A plan as a table, and as requests to Application Auto Scaling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from infrastructure.scaling.forecast import Hour


def table(plan: Sequence[Hour]) -> Iterator[str]:
    """Yield the lines of a table; an hour without a sample is marked."""
    yield f"{'hour (UTC)':<18}{'expected':>9}{'samples':>9}{'minimum':>9}"
    for hour in plan:
        mark = "" if hour.samples else "  no sample: the floor"
        yield (
            f"{hour.start:%Y-%m-%d %H:%M}  {hour.expected:>9.1f}{hour.samples:>9}{hour.minimum:>9}{mark}"
        )


def scheduled_actions(plan: Sequence[Hour], resource: str) -> Iterator[dict[str, Any]]:
    """Yield an action for each hour at which the minimum changes, the first hour included.

    Each is what `aws application-autoscaling put-scheduled-action --cli-input-json` takes. Its name is
    that of the hour of the day, so that the next day's plan replaces it rather than adding to it.
    """
    for minimum, hours in itertools.groupby(plan, key=lambda hour: hour.minimum):
        start = next(hours).start
        yield {
            "ServiceNamespace": "lambda",
            "ScalableDimension": "lambda:function:ProvisionedConcurrency",
            "ResourceId": resource,
            "ScheduledActionName": f"forecast-{start:%H}",
            "Schedule": f"at({start:%Y-%m-%dT%H:%M:%S})",
            "Timezone": "UTC",
            "ScalableTargetAction": {"MinCapacity": minimum},
        }
