"""What the platform's feature flags are for the caller."""

from __future__ import annotations

from pydantic import BaseModel

from datapunk.flags import Reason, evaluate
from datapunk.flags.catalogue import FLAGS, KindName

Value = bool | int | float | str


class FlagState(BaseModel):
    """A flag of the catalogue, and its value for the caller with the reason for it.

    Rules that look at more than the caller, as `attributes` names it, do not count here.
    """

    name: str
    type: KindName
    value: Value
    reason: Reason
    default: Value
    owner: str
    description: str
    attributes: list[str]


def list_states() -> list[FlagState]:
    """Return every flag by name. None is missing when the rules cannot be read: `reason` says so."""
    found = []
    for name, flag in sorted(FLAGS.items()):
        answer = evaluate(flag)
        found.append(
            FlagState(
                name=name,
                type=flag.kind,
                value=answer.value,
                reason=answer.reason,
                default=flag.default,
                owner=flag.owner,
                description=flag.description,
                attributes=list(flag.attributes),
            )
        )
    return found
