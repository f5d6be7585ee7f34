"""Metrics in CloudWatch's embedded format: a line on standard output, no call, no agent.

Names and labels follow the specification: `request_duration_seconds{service,endpoint,status}`,
`error_rate_total{service,error_type}` and so on.
"""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE = "datapunk"


def observe(name: str, value: float, unit: MetricUnit = MetricUnit.Seconds, **labels: str) -> None:
    """Record one value of a distribution, e.g. a duration in seconds."""
    with single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        for label, text in labels.items():
            metric.add_dimension(name=label, value=text)


def count(name: str, value: float = 1, **labels: str) -> None:
    """Add `value` to a counter."""
    observe(name, value, MetricUnit.Count, **labels)
