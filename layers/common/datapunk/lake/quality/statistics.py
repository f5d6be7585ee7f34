"""Scores of what is measured of a whole dataset rather than of its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LEAST_SHARE = 1e-4
"""An empty bucket counts as so much: the logarithm of nothing is no number."""


def within(measured: float, limit: float) -> float:
    """Return 1 up to the limit, and limit/measured above it."""
    return 1.0 if measured <= limit else limit / measured


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the population stability index of two lists of shares, 0 when they are the same.

    The sum of (actual - expected) * ln(actual / expected). Source: N. Siddiqi, "Credit Risk Scorecards"
    (Wiley, 2006), system stability report.
    """
    pairs = [
        (max(before, _LEAST_SHARE), max(now, _LEAST_SHARE))
        for before, now in zip(expected, actual, strict=True)
    ]
    return sum((now - before) * math.log(now / before) for before, now in pairs)
