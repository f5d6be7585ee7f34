"""Evaluation of the IAM policy that a Lambda authorizer returns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

ACTION = "execute-api:Invoke"


class Decision(Enum):
    """What a policy says about one method."""

    ALLOW = "allow"
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


class InvalidPolicyError(ValueError):
    """The policy is none, or uses what cannot be evaluated here."""


def evaluate(policy: Any, arn: str) -> Decision:
    """Decide about the ARN of a method. A deny wins over any allow.

    Raises `InvalidPolicyError` for what API Gateway refuses too, and for conditions, which would
    need the keys of the real service.
    """
    if not isinstance(policy, Mapping) or "Statement" not in policy:
        raise InvalidPolicyError("policyDocument has no Statement")
    statements = policy["Statement"]
    decision = Decision.IMPLICIT_DENY
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, Mapping):
            raise InvalidPolicyError("a Statement is no object")
        unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource"}
        if unknown:
            raise InvalidPolicyError(f"{', '.join(sorted(unknown))} cannot be evaluated locally")
        effect = statement.get("Effect")
        if effect not in ("Allow", "Deny"):
            raise InvalidPolicyError(f"Effect is {effect!r}; it must be Allow or Deny")
        if not _any_matches(statement.get("Action"), ACTION, ignore_case=True):
            continue
        if not _any_matches(statement.get("Resource"), arn, ignore_case=False):
            continue
        if effect == "Deny":
            return Decision.EXPLICIT_DENY
        decision = Decision.ALLOW
    return decision


def _any_matches(patterns: Any, text: str, *, ignore_case: bool) -> bool:
    items = patterns if isinstance(patterns, list) else [patterns]
    if not all(isinstance(item, str) for item in items):
        raise InvalidPolicyError("Action and Resource must be texts")
    return any(_pattern(item, ignore_case).fullmatch(text) for item in items)


@lru_cache(maxsize=4096)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache key
    """Compile a policy's wildcards: `*` for any text, `?` for one character."""
    escaped = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL)
