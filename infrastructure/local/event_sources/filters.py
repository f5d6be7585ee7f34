"""Filter criteria of an event source mapping: which messages reach the function.

Rules of the filter syntax: "Filter rule syntax" in the Lambda developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}
RULES = {"prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists"}
MISSING = object()


class InvalidFilterError(ValueError):
    """The pattern uses no rule that Lambda knows."""


class Filters:
    """The patterns of one mapping. A message passes if any of them matches, or if there is none.

    Raises `InvalidFilterError` for a pattern that Lambda would refuse.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [json.loads(pattern) for pattern in patterns]
        for pattern in self._patterns:
            _check(pattern)

    def passes(self, body: bytes) -> bool:
        """Tell whether a message's body reaches the function.

        A pattern over fields needs a JSON body, a list under `data` a body that is plain text.
        """
        if not self._patterns:
            return True
        text = body.decode("utf-8", "replace")
        return any(_data_matches(pattern.get("data", {}), text) for pattern in self._patterns)


def matches(pattern: Mapping[str, Any], value: Any) -> bool:
    """Tell whether a JSON value matches a pattern: all its fields, any of its `$or`."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(branch, value) for branch in wanted):
                return False
            continue
        found = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
        if isinstance(wanted, Mapping):
            if not matches(wanted, None if found is MISSING else found):
                return False
        elif not any(_leaf(rule, found) for rule in wanted):
            return False
    return True


def _check(pattern: Any) -> None:
    """Raise `InvalidFilterError` for a rule that Lambda does not know."""
    if isinstance(pattern, Mapping):
        for name, wanted in pattern.items():
            if name == "$or":
                for branch in wanted:
                    _check(branch)
            elif isinstance(wanted, list):
                for rule in wanted:
                    if isinstance(rule, Mapping) and (len(rule) != 1 or not rule.keys() <= RULES):
                        raise InvalidFilterError(f"{dict(rule)} is no filter rule of Lambda")
            else:
                _check(wanted)
    else:
        raise InvalidFilterError(f"{pattern!r} must be an object or a list of rules")


def _data_matches(wanted: Any, text: str) -> bool:
    if isinstance(wanted, list):
        return any(_leaf(rule, text) for rule in wanted)
    if not wanted:
        return True
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return matches(wanted, value)


def _leaf(rule: Any, found: Any) -> bool:
    """Apply one rule of a list; a list as value matches with any of its items."""
    if isinstance(rule, Mapping) and "exists" in rule:
        return (found is not MISSING) is bool(rule["exists"])
    if found is MISSING:
        return False
    values = found if isinstance(found, list) else [found]
    return any(_value(rule, value) for value in values)


def _value(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return type(rule) is type(value) and bool(rule == value)
    ((kind, wanted),) = rule.items()
    text = value if isinstance(value, str) else None
    if kind == "prefix":
        return text is not None and text.startswith(wanted)
    if kind == "suffix":
        return text is not None and text.endswith(wanted)
    if kind == "equals-ignore-case":
        return text is not None and text.lower() == wanted.lower()
    if kind == "anything-but":
        refused = wanted if isinstance(wanted, list) else [wanted]
        return not any(_value(item, value) for item in refused)
    if kind == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        pairs = zip(wanted[::2], wanted[1::2], strict=True)
        return all(OPERATORS[operator](value, limit) for operator, limit in pairs)
    return False
