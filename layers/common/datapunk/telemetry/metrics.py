"""Metrics in CloudWatch's embedded metric format: a line on standard output, no call, no agent.

Names and labels follow the specification: `request_duration_seconds{service,endpoint,status}`,
`error_rate_total{service,error_type}` and so on. One value is one line, written here: Powertools' metric set
validates and copies for several, which is an eighth of a request's time at the edge.
"""

from __future__ import annotations

import sys
import time
from typing import Literal

import orjson

NAMESPACE = "datapunk"
Unit = Literal["Seconds", "Milliseconds", "Count", "Bytes", "Percent", "None"]


def observe(name: str, value: float, unit: Unit = "Seconds", **labels: str) -> None:
    """Record one value of a distribution, e.g. a duration in seconds.

    Source: "Specification: Embedded metric format" of the CloudWatch user guide.
    """
    line = {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [list(labels)],
                    "Metrics": [{"Name": name, "Unit": unit}],
                }
            ],
        },
        **labels,
        name: value,
    }
    sys.stdout.write(orjson.dumps(line).decode() + "\n")


def count(name: str, value: float = 1, **labels: str) -> None:
    """Add `value` to a counter."""
    observe(name, value, "Count", **labels)
