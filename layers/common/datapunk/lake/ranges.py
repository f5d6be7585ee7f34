"""Ranges as PostgreSQL writes them: `[1,5)`, `(2026-01-01,]`, `empty`; a missing bound is no bound."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from datapunk.lake.checks import as_utc

_RANGE = re.compile(r'([\[(])\s*("?)([^,"]*)\2\s*,\s*("?)([^,"]*)\4\s*([\])])\Z')
_EMPTY = "empty"
_HOURS = re.compile(r"(:[0-9.]+[+-]\d\d)\Z")
"""The end of a time with an offset of hours, as PostgreSQL writes it."""


def range_of(element: Any) -> Callable[[str], str]:
    """Return a validator of ranges whose bounds are validated as `element`."""
    bound = TypeAdapter(element)

    def check(text: str) -> str:
        if text == _EMPTY:
            return text
        match = _RANGE.match(text)
        if match is None:
            raise ValueError("must be a range like [1,5) or empty")
        bounds = [_HOURS.sub(r"\1:00", match[place].strip()) for place in (3, 5)]
        try:
            low, high = (as_utc(bound.validate_python(part)) if part else None for part in bounds)
        except ValidationError:
            raise ValueError("has a bound that is not of the range's type") from None
        if low is not None and high is not None and low > high:
            raise ValueError("has a lower bound above its upper bound")
        return text

    return check
