"""A seasonal average: an hour of tomorrow is as the same hour of the week was, plus a margin.

It knows no trend and no holidays. Its errors cost little in either direction: target tracking adds what is
missing within minutes, and the next hour takes back what was too much.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

UTILIZATION = 0.7
"""Share of what is warm that is meant to be in use, as in `infrastructure/scaling.yaml`."""

WEEKS = 4
"""Weeks that are averaged: enough to smooth one odd week, few enough to follow growth."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What is planned for one hour."""

    start: datetime
    expected: float
    """Mean of the largest concurrency in the same hour of the last weeks."""
    samples: int
    """Hours that the mean is of; 0 means that there is nothing to go by, and the floor is planned."""
    minimum: int
    """Environments to keep warm."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What turns an expectation into a plan."""

    margin: float
    """Share that is added to what is expected."""
    floor: int
    ceiling: int


def forecast_day(hours: Mapping[datetime, float], day: datetime, limits: Limits) -> list[Hour]:
    """Return the 24 hours of a day (its date in UTC) by the same hours of the four weeks before it."""
    midnight = datetime.combine(day.date(), time(), UTC)
    return [_plan(hours, midnight + timedelta(hours=number), limits) for number in range(24)]


def _plan(hours: Mapping[datetime, float], start: datetime, limits: Limits) -> Hour:
    earlier = [start - timedelta(weeks=number) for number in range(1, WEEKS + 1)]
    found = [hours[hour] for hour in earlier if hour in hours]
    expected = statistics.fmean(found) if found else 0.0
    # Rounded before it is rounded up: 7 * 1.2 / 0.7 is 12, not 12.000000000000002.
    wanted = math.ceil(round(expected * (1 + limits.margin) / UTILIZATION, 6))
    minimum = max(limits.floor, min(wanted, limits.ceiling))
    return Hour(start, expected, len(found), minimum)
