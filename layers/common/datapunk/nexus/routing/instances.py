"""Instances of a service as the router sees them, and how a rule weighs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from datapunk.nexus.routing.balancing import Member
from datapunk.nexus.routing.rules import Canary


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a registered service."""

    id: str
    kind: Literal["http", "lambda"]
    address: str
    """Host name or IP address; of a function its name or ARN."""
    port: int = 0
    secure: bool = False
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    version: str = ""
    cost: float = 1.0
    """What a request to it costs beside others, where rules balance adaptively."""

    def is_canary(self, canary: Canary) -> bool:
        """Tell whether the instance is one of the canary's."""
        if canary.tag is not None:
            return canary.tag in self.tags
        return self.version == canary.version


def weigh(
    instances: Sequence[Instance],
    canary: Canary | None,
    factors: Mapping[str, float] | None = None,
) -> list[Member]:
    """Return the instances with the weights that a rule gives them.

    Within a group weights are the instances' own, times their `factors`. With a canary, its instances share
    its percentage and the others the rest; a group without instances leaves its share to the other one.
    """
    own = {item.id: item.weight * (factors or {}).get(item.id, 1.0) for item in instances}
    if canary is None:
        return [Member(item.id, own[item.id]) for item in instances]
    groups = (
        [item.id for item in instances if item.is_canary(canary)],
        [item.id for item in instances if not item.is_canary(canary)],
    )
    members = []
    alone = not all(groups)
    for names, percent in zip(groups, (canary.percent, 100 - canary.percent), strict=True):
        total = sum(own[name] for name in names)
        share = 100.0 if alone else percent
        members += [Member(name, own[name] / total * share if total else 0.0) for name in names]
    return members
