"""Durations as Go writes them, which Consul's API takes: `10s`, `1m30s`, `150ms`."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST = 64


def seconds_of(duration: str) -> float:
    """Return a duration in seconds. Raises ValueError for what is none, or is negative."""
    text = duration.strip()
    if text == "0":
        return 0.0
    if len(text) > _LONGEST or not _WHOLE.fullmatch(text):
        raise ValueError("is not a duration such as 10s, 1m30s or 150ms")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
