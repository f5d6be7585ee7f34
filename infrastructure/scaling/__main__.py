"""Plan tomorrow's warm environments; nothing is changed: `python -m infrastructure.scaling plan FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infrastructure.scaling.actions import scheduled_actions, table
from infrastructure.scaling.datapoints import DatapointsError, days, read_datapoints
from infrastructure.scaling.forecast import UTILIZATION, WEEKS, Limits, forecast_day


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; 1 when the file cannot be read or says nothing."""
    given = _arguments(arguments)
    try:
        hours = read_datapoints(Path(given.file).read_text(encoding="utf-8"))
    except (OSError, DatapointsError) as error:
        sys.stderr.write(f"{given.file}: {error}\n")
        return 1
    day = given.day or max(hours) + timedelta(days=1)
    limits = Limits(margin=given.margin, floor=given.floor, ceiling=max(given.floor, given.ceiling))
    plan = forecast_day(hours, day, limits)
    sys.stdout.write(
        f"{given.resource}: {len(hours)} hours of {days(hours)} days; minimum = mean of the same hour in "
        f"{WEEKS} weeks, plus {limits.margin:.0%}, at {UTILIZATION:.0%} in use, "
        f"from {limits.floor} to {limits.ceiling}\n\n"
    )
    for line in table(plan):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("\nscheduled actions (dry run: none was put)\n")
    for action in scheduled_actions(plan, given.resource):
        sys.stdout.write(f"{json.dumps(action)}\n")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infrastructure.scaling", description=__doc__)
    commands = parser.add_subparsers(required=True)
    plan = commands.add_parser("plan", help="print the planned minimum of each hour")
    plan.add_argument("file", help="what `aws cloudwatch get-metric-data` printed, hourly maxima")
    plan.add_argument(
        "--day", type=_day, help="YYYY-MM-DD in UTC; the day after the last datapoint"
    )
    plan.add_argument("--margin", type=_margin, default=0.2, help="share to add: 0.2")
    plan.add_argument("--floor", type=_count, default=0, help="least to keep warm: 0")
    plan.add_argument("--ceiling", type=_count, default=100, help="most: 100")
    plan.add_argument(
        "--resource",
        default="function:datapunk-prod-nexus-authorize:live",
        help="what is kept warm: function:NAME:ALIAS",
    )
    return parser.parse_args(arguments)


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


def _margin(text: str) -> float:
    found = float(text)
    if not 0 <= found < float("inf"):
        raise ValueError(text)
    return found


def _count(text: str) -> int:
    found = int(text)
    if found < 0:
        raise ValueError(text)
    return found


if __name__ == "__main__":
    sys.exit(main())
