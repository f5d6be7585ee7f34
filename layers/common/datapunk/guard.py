"""What stands around every request at the HTTP edge: its rate limit and its record in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from datapunk.audit import Outcome, Watch, record_alone, watching
from datapunk.context import WorkContext
from datapunk.errors import DatapunkError, TooManyRequestsError
from datapunk.identity import Caller
from datapunk.limits import RateState, check_rate
from datapunk.policy import needed_scope
from datapunk.telemetry import count, logger

Answer = dict[str, Any]
_READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_DENIED = frozenset({401, 403})
_REFUSED = 400
_TOO_MANY = 429
_ADMINISTRATIVE = "admin"


@dataclass(frozen=True, slots=True)
class Guard:
    """How an operation is guarded; the defaults are right for most.

    `mutates` says whether a request may change something, or tells it of the request's event; by default its
    method does. One with a reading method is recorded only when it did. `administrative` requests are
    recorded though they change nothing, as are all that need the scope `admin`. `open_query` has unknown
    query parameters ignored, as OAuth asks for (RFC 6749, 3.1).
    """

    limited: bool = True
    mutates: bool | Callable[[Mapping[str, Any]], bool] | None = None
    administrative: bool = False
    open_query: bool = False


def guarded(
    guard: Guard,
    event: Mapping[str, Any],
    work: WorkContext,
    respond: Callable[[], Answer],
    refuse: Callable[[DatapunkError], Answer],
) -> Answer:
    """Return the answer of `respond`, or a refusal, with the headers of the limit.

    Every mutating, denied or administrative request is in the audit trail by then. A mutating one that
    cannot be recorded is answered with the reason, unless its record was begun before its effect.
    """
    source = _source(event)
    state = check_rate(work.caller, work.operation, source=source) if guard.limited else None
    if state is not None and not state.allowed:
        answer = refuse(_too_many(state))
    else:
        watch = _watch(guard, event, work, source)
        always = _is_recorded(guard, event, watch, work)
        answer = _recorded(watch, respond, refuse, always=always)
    if state is not None:
        headers = answer.setdefault("multiValueHeaders", {})
        headers.update({name: [value] for name, value in state.headers().items()})
    return answer


def record_refusal(event: Mapping[str, Any], work: WorkContext, reason: str) -> None:
    """Record a request whose credentials the authorizer refused.

    Its sender is known by address only; what an address sends beyond its limit is refused as well, but
    counted and not recorded, so that nobody can flood the trail.
    """
    source = _source(event)
    if not check_rate(Caller(), work.operation, source=source).allowed:
        return
    path = str(event.get("path") or "")
    try:
        record_alone(
            work.operation, path, "denied", {"reason": reason}, caller=Caller(), source=source
        )
    except DatapunkError:
        count("audit_failures_total", service=work.service)
        logger().exception("refusal not recorded")


def _source(event: Mapping[str, Any]) -> str:
    """Return the sender's network address as API Gateway saw it."""
    identity = (event.get("requestContext") or {}).get("identity") or {}
    return str(identity.get("sourceIp") or "")


def _watch(guard: Guard, event: Mapping[str, Any], work: WorkContext, source: str) -> Watch:
    mutates = guard.mutates
    if callable(mutates):
        mutates = mutates(event)
    elif mutates is None:
        mutates = event.get("httpMethod") not in _READING
    return Watch(work.operation, str(event.get("path") or ""), work.caller, source, mutates)


def _is_recorded(guard: Guard, event: Mapping[str, Any], watch: Watch, work: WorkContext) -> bool:
    """Tell whether a request is recorded though it was allowed and changes nothing in the database."""
    if watch.mutates and event.get("httpMethod") not in _READING:
        return True
    return guard.administrative or needed_scope(work.operation) == _ADMINISTRATIVE


def _recorded(
    watch: Watch,
    respond: Callable[[], Answer],
    refuse: Callable[[DatapunkError], Answer],
    *,
    always: bool,
) -> Answer:
    with watching(watch):
        answer = respond()
    status = int(answer["statusCode"])
    denied = status in _DENIED
    if not (denied or (always and status != _TOO_MANY)):
        return answer
    if status < _REFUSED:
        outcome: Outcome = "done"
    else:
        outcome = "denied" if denied else "failed"
    try:
        watch.finish(outcome, {"status": status, **_reason(answer, status)})
    except DatapunkError as error:
        count("audit_failures_total", service=watch.action.partition(".")[0])
        logger().exception("request not recorded", extra={"outcome": outcome})
        return refuse(error) if outcome == "done" and not watch.begun else answer
    return answer


def _reason(answer: Answer, status: int) -> dict[str, str]:
    """Return the code of the problem an answer tells of."""
    if status < _REFUSED:
        return {}
    try:
        return {"code": str(orjson.loads(answer.get("body") or "{}")["code"])}
    except (KeyError, TypeError, ValueError):
        return {}


def _too_many(state: RateState) -> TooManyRequestsError:
    policy = state.policy
    return TooManyRequestsError(
        f"{policy.quota:,} requests in {policy.window:,} s are allowed, and these are used up.",
        retry_after=state.retry_after,
    )
