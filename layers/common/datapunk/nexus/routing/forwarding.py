"""From a rule to an answer: find the instances, choose, send, try another one, give up in time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from datapunk import registry
from datapunk.errors import (
    BadGatewayError,
    DatapunkError,
    DeadlineExceededError,
    UnavailableError,
)
from datapunk.mesh.breaker import BreakerPolicy, passing
from datapunk.nexus.routing import speed
from datapunk.nexus.routing.balancing import Outcome, Turn, pick, tell
from datapunk.nexus.routing.calling import InstanceFailure, call
from datapunk.nexus.routing.instances import Instance, weigh
from datapunk.nexus.routing.invoking import call_function
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.outgoing import Origin, with_context
from datapunk.nexus.routing.rules import CALLER_PROVIDER, PLATFORM_PROVIDER, RouteRule
from datapunk.registry import PLATFORM, Kind
from datapunk.retry import RetryBudget
from datapunk.telemetry import count, logger, observe

GATEWAY_FAILURES = frozenset({502, 503, 504})
"""Answers that say that an instance is ill. 500 does not: it may be about the request alone, and whoever
sends it could have every instance ejected."""
_GRACE = 1.0
_LEAST = 0.05
"""Seconds for which no further try is worth it."""


class NotYet(Exception):  # noqa: N818 -- no failure: there is time left, but not here
    """The service has not answered yet, and may still do so within the time of its rule."""


@dataclass(frozen=True, slots=True)
class Place:
    """A service's instances, and the name that their turns, failures and breaker are counted by."""

    key: str
    instances: tuple[Instance, ...]


def find_place(service: str, rule: RouteRule, tenant: str) -> Place:
    """Return where a service is. Raises UnavailableError when nobody offers it, or that is not known."""
    provider = _provider(rule, tenant)
    found = registry.discover(service, tenant=provider)
    if rule.owners:
        found = tuple(item for item in found if item.document.owner in rule.owners)
    key = service if provider == PLATFORM else f"{provider}/{service}"
    instances = tuple(_instance(item) for item in found if _is_routed(item))
    if not instances:
        raise UnavailableError(service, f"No instance of {service} is registered.", retry_after=5)
    return Place(key, instances)


def forward(
    name: str,
    rule: RouteRule,
    request: Request,
    origin: Origin,
    seconds: float,
    *,
    shadow: bool = False,
) -> Answer:
    """Return a service's answer within `seconds`, of one instance or after a failure of another one.

    Raises UnavailableError when no instance answers, DeadlineExceededError when the rule's time is over,
    NotYet when only `seconds` are, CircuitOpenError and BulkheadFullError when the service may not be asked,
    BadGatewayError for what cannot be passed on.
    """
    service = rule.shadow.target if shadow and rule.shadow else rule.to
    place = find_place(service, rule, origin.caller.tenant)
    policy = BreakerPolicy(concurrency=rule.concurrency)
    # One passage for all tries: that one instance is ill is no failure of the service.
    with passing(f"route/{place.key}", policy, lease=seconds + _GRACE) as passage:
        answer = _Tries(name, rule, request, origin, place, shadow).run(seconds)
        if answer.status in GATEWAY_FAILURES:
            passage.failed()
        return answer


_budgets: dict[str, RetryBudget] = {}
"""How much may be tried again, by service: when all of it fails, tries would multiply the load."""


def forget() -> None:
    """Become an environment that has tried nothing again."""
    _budgets.clear()


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of a try, and whether another one may help."""

    answer: Answer | None = None
    failure: Exception | None = None
    again: bool = False


class _Tries:
    """The tries of one request: the first one, and others where it may be sent again."""

    def __init__(
        self,
        name: str,
        rule: RouteRule,
        request: Request,
        origin: Origin,
        place: Place,
        shadow: bool,  # noqa: FBT001 -- see forward
    ) -> None:
        self._name = f"{name}/shadow" if shadow else name
        self._rule = rule
        self._request = request
        self._origin = origin
        self._place = place
        self._shadow = shadow
        self._left = 0 if shadow else rule.retries
        canary = None if shadow else rule.canary
        factors = speed.factors(place.key, place.instances) if rule.balance == "adaptive" else None
        self._members = weigh(place.instances, canary, factors)
        self._excluded: set[str] = set()
        self._budget = _budgets.setdefault(place.key, RetryBudget())
        self._budget.deposit()

    def run(self, seconds: float) -> Answer:
        """Return an answer, or raise what the last try met."""
        end = time.monotonic() + seconds
        tried: _Tried | None = None
        while True:
            try:
                turn = self._pick(end)
            except UnavailableError:
                if tried is None:
                    raise
                break
            tried = self._try(turn, end, whole=seconds >= self._rule.seconds)
            if not tried.again or self._left <= 0 or end - time.monotonic() < _LEAST:
                break
            if not self._budget.withdraw():
                count("route_retries_refused_total", service=self._rule.service)
                break
            self._left -= 1
            self._excluded.add(turn.instance)
            count("route_retries_total", service=self._rule.service)
        if tried.answer is None:
            raise tried.failure or UnavailableError(self._place.key)
        return tried.answer

    def _pick(self, end: float) -> Turn:
        return pick(
            self._place.key,
            self._name,
            self._members,
            repeatable=self._request.repeatable,
            lease=end - time.monotonic() + _GRACE,
            excluded=self._excluded,
        )

    def _try(self, turn: Turn, end: float, *, whole: bool) -> _Tried:
        instance = next(item for item in self._place.instances if item.id == turn.instance)
        started = time.monotonic()
        try:
            answer = self._send(instance, end - started)
        except InstanceFailure as failure:
            if failure.late and not whole:
                tell(turn, "unknown", self._rule.ejection)
                return _Tried(failure=NotYet())
            self._note(turn, "failed", started, "none")
            logger().warning(
                "instance %s",
                failure.reason,
                extra={"target": self._place.key, "instance": turn.instance},
            )
            return _Tried(
                failure=self._told(failure),
                again=not failure.late and (self._request.repeatable or not failure.sent),
            )
        except BadGatewayError:
            self._note(turn, "ok", started, "none")
            raise
        except BaseException:
            tell(turn, "unknown", self._rule.ejection)
            raise
        ill = answer.status in GATEWAY_FAILURES
        self._note(turn, "failed" if ill else "ok", started, str(answer.status))
        return _Tried(answer=answer, again=ill and self._request.repeatable)

    def _send(self, instance: Instance, seconds: float) -> Answer:
        request = with_context(
            self._request, self._rule, self._origin, seconds, shadow=self._shadow
        )
        if instance.kind == "lambda":
            name = instance.address
            if self._rule.function is not None:
                name = f"{name}-{self._rule.function}"
            return call_function(name, request, self._origin, seconds)
        return call(instance, request, seconds)

    def _note(self, turn: Turn, outcome: Outcome, started: float, status: str) -> None:
        taken = time.monotonic() - started
        tell(turn, outcome, self._rule.ejection)
        if self._rule.balance == "adaptive":
            speed.note(self._place.key, turn.instance, taken, failed=outcome == "failed")
        observe(
            "route_request_duration_seconds",
            taken,
            service=self._rule.service,
            instance=turn.instance,
            status=status,
        )

    def _told(self, failure: InstanceFailure) -> DatapunkError:
        service = self._rule.service
        if failure.late:
            return DeadlineExceededError(
                f"{service} did not answer within the {self._rule.seconds:g} s of its route."
            )
        return UnavailableError(service, f"An instance of {service} {failure.reason}.")


def _provider(rule: RouteRule, tenant: str) -> str:
    if rule.provider == PLATFORM_PROVIDER:
        return PLATFORM
    return tenant if rule.provider == CALLER_PROVIDER else rule.provider


def _is_routed(found: registry.Instance) -> bool:
    """Tell whether an instance can be sent requests. A tenant's are called over HTTP alone.

    The platform has the right to invoke functions, a tenant that registers one's name does not.
    """
    return found.kind is Kind.HTTP or (found.kind is Kind.LAMBDA and found.tenant == PLATFORM)


def _instance(found: registry.Instance) -> Instance:
    return Instance(
        id=found.id,
        kind="lambda" if found.kind is Kind.LAMBDA else "http",
        address=found.address,
        port=found.port,
        secure=found.meta.get("scheme") == "https",
        weight=found.weight,
        tags=found.tags,
        version=found.meta.get("version", ""),
        cost=_cost(found.meta.get("cost")),
    )


def _cost(text: str | None) -> float:
    """Return what an instance says a request to it costs, beside others; 1 where it does not say."""
    try:
        return max(0.0, float(text or "1"))
    except ValueError:
        return 1.0
