"""Hourly datapoints of CloudWatch, as `aws cloudwatch get-metric-data` prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


class DatapointsError(Exception):
    """The file holds no datapoints that a forecast can be made of; the message says what is missing."""


def read_datapoints(text: str) -> dict[datetime, float]:
    """Return the value of each hour, in UTC, of the only metric in an answer of `get-metric-data`.

    Several values of one hour (a shorter period, or several answers in one file) give their largest: what is
    kept warm must suffice for all of the hour. Raises `DatapointsError`.
    """
    try:
        results = json.loads(text)["MetricDataResults"]
        (result,) = results
        pairs = list(zip(result["Timestamps"], result["Values"], strict=True))
        return _by_hour(pairs)
    except (KeyError, TypeError, ValueError) as error:
        raise DatapointsError(
            "expected what `aws cloudwatch get-metric-data` prints for one metric: "
            f'{{"MetricDataResults": [{{"Timestamps": [...], "Values": [...]}}]}} ({error})'
        ) from error


def _by_hour(pairs: list[tuple[Any, Any]]) -> dict[datetime, float]:
    if not pairs:
        raise ValueError("there is not one datapoint in it")
    hours: dict[datetime, float] = {}
    for stamp, value in pairs:
        hour = _hour(stamp)
        found = float(value)
        if not 0 <= found < float("inf"):
            raise ValueError(f"{value} is no concurrency")
        hours[hour] = max(hours.get(hour, 0.0), found)
    return hours


def _hour(stamp: Any) -> datetime:
    """Return the hour of a time, which the CLI prints in ISO 8601, or as seconds if told to."""
    if isinstance(stamp, int | float):
        time = datetime.fromtimestamp(stamp, UTC)
    else:
        time = datetime.fromisoformat(stamp)
        if time.tzinfo is None:
            raise ValueError(f"{stamp} names no time zone")
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def days(hours: Mapping[datetime, float]) -> int:
    """Return how many days the datapoints span, the first and the last included."""
    return (max(hours).date() - min(hours).date()).days + 1 if hours else 0
