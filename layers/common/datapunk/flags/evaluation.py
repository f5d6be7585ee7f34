"""What a flag's value is for the work in hand, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic

from datapunk.context import current
from datapunk.flags.catalogue import FLAGS, Flag, Kind
from datapunk.identity import Caller
from datapunk.settings import settings
from datapunk.telemetry import count

Attribute = bool | int | float | str | list[str]
BUCKETS = 100


class Reason(StrEnum):
    """Why a flag has its value, in OpenFeature's words (specification 1.4.7)."""

    DEFAULT = "DEFAULT"
    """Nobody has set it, or no rule of those set fits: a default."""
    STATIC = "STATIC"
    """It is set to one value for all."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """A rule fits."""
    STALE = "STALE"
    """The rules cannot be read at present: it is what they said when they last could be."""
    ERROR = "ERROR"
    """The rules could never be read here, or set a value of another type: the declared default."""


_FALLBACKS = (Reason.STALE, Reason.ERROR)


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[Kind]):
    """A flag's value and the reason for it."""

    value: Kind
    reason: Reason


def value(flag: Flag[Kind], **attributes: Attribute) -> Kind:
    """Return the flag's value for the current caller; see `evaluate`."""
    return evaluate(flag, **attributes).value


def evaluate(flag: Flag[Kind], **attributes: Attribute) -> Evaluation[Kind]:
    """Return the flag's value for the current caller, with the reason.

    `attributes` are what rules may look at besides the caller. Never fails for a store that is gone: then
    the value is the last known one, else the declared default, and the metric `flag_fallback_total` counts
    it. Raises LookupError for a flag that is not in the catalogue, or an attribute it does not declare.
    """
    if FLAGS.get(flag.name) is not flag:
        raise LookupError(f"{flag.name} is no flag of the catalogue.")
    if unknown := set(attributes).difference(flag.attributes):
        raise LookupError(f"{flag.name} does not declare: {', '.join(sorted(unknown))}.")
    source = settings().feature_flags
    if not source:
        return Evaluation(flag.default, Reason.DEFAULT)
    from datapunk.flags.provider import resolve  # brings OpenFeature and boto3

    found, reason = resolve(source, flag, {**context_of(flag.name), **attributes})
    if reason in _FALLBACKS:
        count("flag_fallback_total", flag=flag.name, reason=reason.lower())
    return Evaluation(found, reason)


def context_of(flag: str) -> dict[str, Attribute]:
    """Return what every rule may look at: the current caller and operation.

    `bucket` is a number from 0 to 99 that stays the same for a caller and a flag, and has nothing to do with
    the caller's bucket of another flag: `MODULO_RANGE` on it reaches a share of all callers.
    """
    work = current()
    caller = work.caller if work else Caller()
    identity = f"{flag} {caller.tenant} {caller.principal}".encode("utf-8", "replace")
    return {
        "tenant": caller.tenant,
        "principal": caller.principal,
        "roles": list(caller.roles),
        "operation": work.operation if work else "",
        "stage": settings().stage,
        "bucket": int.from_bytes(hashlib.sha256(identity).digest()[:8]) % BUCKETS,
    }
