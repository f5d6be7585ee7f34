"""A routed request from end to end: its rule, its permission, the cache, the service, and the wall.

API Gateway ends a request after 29 s. What takes longer is answered with 202 before that and completed in
the background, so that its effect happens once:

- A request that only reads is sent by this environment. When the wall is near it is left alone, stored, and
  asked again by a worker, which has all of the rule's time.
- Any other request whose rule allows more time than there is until the wall goes to a worker from the start,
  as does one with `Prefer: respond-async`; the caller is answered as soon as the worker is done, or with 202.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from secrets import randbelow
from typing import Any
from uuid import UUID

import orjson

from datapunk import functions
from datapunk.context import (
    WorkContext,
    continue_correlation,
    continue_trace,
    current,
    working,
)
from datapunk.errors import DatapunkError, DeadlineExceededError
from datapunk.identity import caller_from_document
from datapunk.nexus.routing import requests, response_cache
from datapunk.nexus.routing.forwarding import NotYet, forward
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.outgoing import Origin
from datapunk.nexus.routing.paths import read_path
from datapunk.nexus.routing.requests import Accepted
from datapunk.nexus.routing.response_cache import Place
from datapunk.nexus.routing.rules import RouteRule
from datapunk.nexus.routing.table import Found, current_table
from datapunk.nexus.routing.transformation import change_answer, change_request
from datapunk.policy import require
from datapunk.telemetry import count, logger

HANDOVER = 1.0
"""Seconds before the end of the function in which a request is stored and answered with 202."""
_MOST_SHADOW = 700_000
"""Bytes of a body whose copy still fits into an asynchronous event."""
_SHADOW_WAIT = 1.0
_PREFER = re.compile(r'([a-z-]+)(?:\s*=\s*"?([^",;]*)"?)?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that will be answered later (202)."""

    accepted: Accepted
    asked: bool = False
    """Whether the caller preferred not to wait."""


def route(
    origin: Origin,
    request: Request,
    *,
    seconds: float,
    trusted_network: Callable[[], bool] | None = None,
) -> Answer | Taken:
    """Answer a request of `origin` within `seconds`.

    `request` is as it came, its path what follows the service's name. Raises NotFoundError where no rule
    routes it, ForbiddenError where the policy refuses it, InvalidInputError for a path that servers could
    understand differently, and what `forward` raises.
    """
    end = time.monotonic() + seconds - HANDOVER
    path = read_path(request.path)
    found = current_table().find(origin.service, request.method, path)
    rule = found.rule
    needs = rule.permission(request.method)
    require(needs, caller=origin.caller, trusted_network=trusted_network)
    request = replace(request, path=str(path))
    changed = change_request(request, rule, found.parameters)
    seen = replace(changed, headers=request.headers)
    place = response_cache.place_of(found.name, found.version, rule.cache, seen, origin.caller)
    kept = response_cache.find(place, seen) if place else None
    if kept is not None:
        return kept
    task = _Task(found, changed, origin, needs, place)
    return task.run(end, preferences(request.header("prefer")))


def run_accepted(request: UUID) -> str:
    """Do the work of an accepted request, as its worker; return what became of it.

    Raises UnavailableError when the database does not answer: Lambda tries again then.
    """
    work = requests.claim(request)
    if work is None:
        return "not_mine"
    task = _Task.from_work(work)
    try:
        with _continued(work, task):
            answer = task.forward(task.rule.seconds)
    except DatapunkError as error:
        logger().warning("request failed", extra={"request": str(request), "code": error.code})
        requests.fail(request, error)
        return "failed"
    except Exception:  # noqa: BLE001 -- whoever waits must hear of any failure
        logger().exception("request failed", extra={"request": str(request)})
        requests.fail(request, DatapunkError())
        return "failed"
    requests.finish(request, answer)
    return "done"


def run_shadow(work: Mapping[str, Any]) -> str:
    """Send a copy to the service of its rule; what it answers is dropped."""
    task = _Task.from_work(work)
    target = task.found.rule.shadow.target if task.found.rule.shadow else ""
    try:
        with _continued(work, task):
            answer = task.forward(task.rule.seconds, shadow=True)
    except DatapunkError as error:
        count("route_shadows_total", service=target, outcome=error.code)
        return "failed"
    count("route_shadows_total", service=target, outcome=str(answer.status))
    return "done"


@contextmanager
def _continued(work: Mapping[str, Any], task: _Task) -> Iterator[None]:
    """Go on in the trace and the name of the request that the work came from."""
    own = current()
    context = WorkContext(
        operation=own.operation if own else requests.WORKER,
        correlation_id=continue_correlation(work["correlation_id"]),
        trace=continue_trace(work["traceparent"], None),
        deadline=own.deadline if own else time.monotonic() + task.rule.seconds,
        caller=task.origin.caller,
    )
    with working(context):
        yield


def preferences(value: str) -> dict[str, str]:
    """Return what a `Prefer` header asks for (RFC 7240)."""
    return {match[1].lower(): match[2] or "" for match in _PREFER.finditer(value)}


@dataclass(frozen=True, slots=True)
class _Task:
    """A request with its rule: what is left to do once it is clear that it may be done."""

    found: Found
    request: Request
    origin: Origin
    needs: str
    place: Place | None = None
    """Where its answer is kept for others."""

    @property
    def rule(self) -> RouteRule:
        return self.found.rule

    def run(self, end: float, preferred: Mapping[str, str]) -> Answer | Taken:
        """Answer before `end`, in seconds of the monotonic clock."""
        background = self.rule.background == "automatic"
        left = max(0.0, end - time.monotonic())
        copy = self._begin_shadow()
        try:
            if background and "respond-async" in preferred:
                wished = preferred.get("wait", "")
                seconds = min(left, float(wished) if wished.isdecimal() else 0.0)
                return self._behind(seconds, asked=True)
            if background and self.rule.seconds > left and not self.request.reads:
                return self._behind(left)
            return self.forward(min(self.rule.seconds, left))
        except NotYet:
            if background:
                return Taken(self._accept())
            raise DeadlineExceededError(
                f"{self.origin.service} did not answer before the gateway's limit."
            ) from None
        finally:
            if copy is not None:
                copy.join(_SHADOW_WAIT)

    def forward(self, seconds: float, *, shadow: bool = False) -> Answer:
        """Send it and return the answer as the caller is to see it."""
        rule = self.rule
        answer = forward(self.found.name, rule, self.request, self.origin, seconds, shadow=shadow)
        changed = change_answer(answer, rule.response)
        if self.place is None:
            return changed
        response_cache.keep(self.place, answer, changed)
        return replace(changed, notes={"X-Cache": "MISS"})

    def to_work(self) -> dict[str, Any]:
        """Return the task as a worker reads it."""
        work = current()
        return {
            "route": self.found.name,
            "version": self.found.version,
            "rule": self.rule.model_dump(mode="json"),
            "parameters": self.found.parameters,
            "request": {**asdict(self.request), "body": b64encode(self.request.body).decode()},
            "origin": asdict(self.origin),
            "needs": self.needs,
            "correlation_id": work.correlation_id if work else "",
            "traceparent": work.trace.header() if work else "",
        }

    @classmethod
    def from_work(cls, work: Mapping[str, Any]) -> _Task:
        """Return the task that `to_work` described."""
        rule = RouteRule.model_validate(work["rule"], extra="ignore")
        sent, origin = work["request"], work["origin"]
        request = Request(
            sent["method"],
            sent["path"],
            [(name, value) for name, value in sent["query"]],
            [(name, value) for name, value in sent["headers"]],
            b64decode(sent["body"]),
        )
        caller = caller_from_document(origin["caller"])
        return cls(
            Found(work["route"], work["version"], rule, work["parameters"]),
            request,
            Origin(**{**origin, "caller": caller}),
            work["needs"],
        )

    def _behind(self, seconds: float, *, asked: bool = False) -> Answer | Taken:
        """Have a worker do it and wait for so long."""
        accepted = self._accept()
        caller = self.origin.caller
        try:
            progress = requests.wait(caller, accepted.id, seconds) if seconds > 0 else None
        except DatapunkError as error:
            # It is accepted, and its sender must know where to look for it.
            logger().warning("not waited for", extra={"code": error.code, "reason": error.detail})
            progress = None
        if progress is None:
            return Taken(accepted, asked)
        return requests.answer_of(progress, self.origin.service)

    def _accept(self) -> Accepted:
        count("route_accepted_total", service=self.origin.service)
        return requests.accept(
            self.origin.caller,
            self.to_work(),
            needs=self.needs,
            seconds=self.rule.seconds,
            repeatable=self.request.repeatable,
        )

    def _begin_shadow(self) -> threading.Thread | None:
        """Have a copy sent by a worker, beside the request itself."""
        shadow = self.rule.shadow
        if shadow is None or not (self.request.reads or shadow.unsafe):
            return None
        if randbelow(10_000) >= shadow.percent * 100:
            return None
        if len(self.request.body) > _MOST_SHADOW:
            count("route_shadows_total", service=shadow.target, outcome="too_large")
            return None
        payload = orjson.dumps({"shadow": self.to_work()})
        thread = threading.Thread(target=_send_copy, args=(shadow.target, payload), daemon=True)
        thread.start()
        return thread


def _send_copy(target: str, payload: bytes) -> None:
    try:
        functions.invoke_later(functions.sibling(requests.WORKER), payload)
    except DatapunkError as error:
        count("route_shadows_total", service=target, outcome="not_sent")
        logger().warning("no copy sent", extra={"reason": error.detail})
