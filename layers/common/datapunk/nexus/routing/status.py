"""How a rule stands: its instances, their weights and failures, and the breaker of the service."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from datapunk.errors import UnavailableError
from datapunk.mesh import breaker
from datapunk.nexus.routing import balancing, speed
from datapunk.nexus.routing.forwarding import find_place
from datapunk.nexus.routing.instances import weigh
from datapunk.nexus.routing.rules import CALLER_PROVIDER, PLATFORM_PROVIDER, Route, RouteRule


class InstanceStatus(BaseModel):
    """An instance as the rule sees it."""

    id: str
    address: str
    tags: list[str]
    version: str
    weight: float = Field(description="Beside the others, with what canary and balance make of it.")
    reason: str = Field(description="Why an adaptive rule weighs it so.")
    failures: int = Field(description="In a row, since the last success.")
    ejections: int
    ejected_until: datetime | None


class BreakerStatus(BaseModel):
    """The breaker of the service, over all instances."""

    state: str
    calls: int
    failures: int
    refused: int
    busy: int
    retry_after: float


class RouteStatus(BaseModel):
    """A rule's target as it is now."""

    route: str
    target: str
    instances: list[InstanceStatus]
    breaker: BreakerStatus | None = Field(description="Null before the first request.")


def status_of(route: Route, tenant: str) -> RouteStatus:
    """Return how a rule stands. Raises UnavailableError when that is not known, Redis being gone."""
    rule = route.rule
    try:
        place = find_place(rule.to, rule, tenant)
    except UnavailableError as error:
        if error.dependency != rule.to:
            raise
        return RouteStatus(route=route.name, target=rule.to, instances=[], breaker=None)
    judged = speed.judge(speed.speeds(place.key), place.instances)
    adaptive = rule.balance == "adaptive"
    factors = {name: found.factor for name, found in judged.items()} if adaptive else None
    weights = {member.id: member.weight for member in weigh(place.instances, rule.canary, factors)}
    failing = balancing.states(place.key)
    instances = []
    for item in place.instances:
        state = failing.get(item.id)
        until = state.ejected_until if state else 0
        instances.append(
            InstanceStatus(
                id=item.id,
                address=f"{item.address}:{item.port}" if item.port else item.address,
                tags=list(item.tags),
                version=item.version,
                weight=round(weights[item.id], 4),
                reason=judged[item.id].reason if item.id in judged else "",
                failures=state.failures if state else 0,
                ejections=state.ejections if state else 0,
                ejected_until=datetime.fromtimestamp(until / 1000, UTC) if until else None,
            )
        )
    return RouteStatus(
        route=route.name,
        target=rule.to,
        instances=instances,
        breaker=_breaker(f"route/{place.key}"),
    )


def warnings_for(rule: RouteRule) -> list[str]:
    """Return what is odd about a rule, though it may be meant so."""
    found = []
    targets = [rule.to, *([rule.shadow.target] if rule.shadow else [])]
    for target in targets if rule.provider != CALLER_PROVIDER else ():
        try:
            find_place(target, rule, "")
        except UnavailableError as error:
            found.append(f"{error.detail} Until there is one, requests are answered 503.")
    if rule.provider not in (PLATFORM_PROVIDER, CALLER_PROVIDER) and not rule.owners:
        found.append(
            f"Whoever may write in the tenant {rule.provider} can become an instance: name the owners."
        )
    if rule.shadow is not None and rule.shadow.unsafe:
        found.append(f"{rule.shadow.target} gets copies of requests that change something.")
    if rule.cache is not None and rule.cache.scope == "public":
        found.append("Answers are shared by all tenants.")
    return found


def _breaker(target: str) -> BreakerStatus | None:
    for state in breaker.states():
        if state.target == target:
            return BreakerStatus(
                state=state.state,
                calls=state.calls,
                failures=state.failures,
                refused=state.refused,
                busy=state.busy,
                retry_after=state.retry_after,
            )
    return None
