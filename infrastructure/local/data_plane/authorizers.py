"""Lambda authorizers of the REST API and the WebSocket API, with their cache."""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from infrastructure.local.catalog import Authorizer
from infrastructure.local.data_plane import gateway_responses as answers
from infrastructure.local.data_plane.gateway_responses import Case
from infrastructure.local.data_plane.invocation import ThrottledError, UnknownFunctionError
from infrastructure.local.data_plane.policy import Decision, InvalidPolicyError, evaluate
from infrastructure.local.data_plane.runner import Runner

LOGGER = logging.getLogger(__name__)
CACHE_ENTRIES = 10_000


class RefusedError(PermissionError):
    """The request does not get through; `case` says what is answered."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.message)
        self.case = case


@dataclass(frozen=True, slots=True)
class Caller:
    """What an authorizer said about a caller."""

    policy: Mapping[str, Any]
    context: Mapping[str, Any]
    """`requestContext.authorizer` of the function's event."""


class Authorizers:
    """Asks authorizer functions and remembers their answers for as long as they allow."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._cache: OrderedDict[tuple[str, ...], tuple[float, Caller]] = OrderedDict()

    def forget(self) -> None:
        """Empty the cache: functions or routes have changed."""
        self._cache.clear()

    async def authorize(
        self, authorizer: Authorizer, event: Mapping[str, Any], arn: str
    ) -> Mapping[str, Any]:
        """Return `requestContext.authorizer` for a request that may pass.

        `event` is the event the function would get. Raises `RefusedError`.
        """
        identities = [identity(source, event) for source in authorizer.identity_sources]
        if None in identities or "" in identities:
            raise RefusedError(answers.UNAUTHORIZED)
        values = [str(value) for value in identities]
        pattern = authorizer.identity_validation
        if authorizer.kind == "TOKEN" and pattern and not re.match(pattern, values[0]):
            raise RefusedError(answers.UNAUTHORIZED)
        key = (authorizer.name, authorizer.function, *values)
        caching = authorizer.ttl > 0 and bool(values)
        caller = self._remembered(key) if caching else None
        if caller is None:
            caller = await self._ask(authorizer, event, values, arn)
            if caching:
                self._remember(key, caller, authorizer.ttl)
        try:
            decision = evaluate(caller.policy, arn)
        except InvalidPolicyError as error:
            LOGGER.warning("Authorizer %s returned a bad policy: %s", authorizer.name, error)
            raise RefusedError(answers.AUTHORIZER_CONFIGURATION_ERROR) from error
        if decision is Decision.EXPLICIT_DENY:
            raise RefusedError(answers.EXPLICIT_DENY)
        if decision is Decision.IMPLICIT_DENY:
            raise RefusedError(answers.ACCESS_DENIED)
        return caller.context

    async def _ask(
        self, authorizer: Authorizer, event: Mapping[str, Any], values: list[str], arn: str
    ) -> Caller:
        if authorizer.kind == "TOKEN":
            question: dict[str, Any] = {
                "type": "TOKEN",
                "methodArn": arn,
                "authorizationToken": values[0],
            }
        else:
            left_out = ("body", "isBase64Encoded")
            request = {name: value for name, value in event.items() if name not in left_out}
            question = {"type": "REQUEST", "methodArn": arn, **request}
        try:
            outcome = await self._runner.invoke(authorizer.function, orjson.dumps(question))
        except (ThrottledError, UnknownFunctionError) as error:
            LOGGER.warning("Authorizer %s cannot be asked: %s", authorizer.name, error)
            raise RefusedError(answers.AUTHORIZER_FAILURE) from error
        try:
            answer = orjson.loads(outcome.payload)
        except orjson.JSONDecodeError:
            answer = None
        if outcome.error:
            # The word by which an authorizer function refuses a caller.
            if isinstance(answer, dict) and answer.get("errorMessage") == "Unauthorized":
                raise RefusedError(answers.UNAUTHORIZED)
            LOGGER.warning("Authorizer %s failed: %s", authorizer.name, answer)
            raise RefusedError(answers.AUTHORIZER_FAILURE)
        return read_caller(authorizer, answer)

    def _remembered(self, key: tuple[str, ...]) -> Caller | None:
        entry = self._cache.get(key)
        if entry is None or entry[0] < time.monotonic():
            self._cache.pop(key, None)
            return None
        return entry[1]

    def _remember(self, key: tuple[str, ...], caller: Caller, ttl: int) -> None:
        self._cache[key] = (time.monotonic() + ttl, caller)
        while len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)


def read_caller(authorizer: Authorizer, answer: Any) -> Caller:
    """Check an authorizer's answer. Raises `RefusedError` for one that API Gateway rejects."""
    if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
        LOGGER.warning("Authorizer %s returned no principalId.", authorizer.name)
        raise RefusedError(answers.AUTHORIZER_CONFIGURATION_ERROR)
    context = answer.get("context") or {}
    if not isinstance(context, dict) or any(
        isinstance(value, dict | list) for value in context.values()
    ):
        LOGGER.warning("Authorizer %s: context may hold only plain values.", authorizer.name)
        raise RefusedError(answers.AUTHORIZER_CONFIGURATION_ERROR)
    texts = {name: _text(value) for name, value in context.items()}
    return Caller(
        policy=answer.get("policyDocument") or {},
        context={**texts, "principalId": answer["principalId"], "integrationLatency": 0},
    )


def identity(source: str, event: Mapping[str, Any]) -> str | None:
    """Return what an identity source names in an event, None when it is not there.

    Sources are written `method.request.header.Authorization` (REST API) or
    `route.request.header.Auth` (WebSocket API); besides headers there are `querystring`, `path`,
    `stageVariables.x` and `context.x`.
    """
    _, _, rest = source.partition("request.")
    kind, _, name = (rest or source).partition(".")
    if kind == "header":
        wanted = name.lower()
        headers: Mapping[str, str] = event.get("headers") or {}
        return next((value for key, value in headers.items() if key.lower() == wanted), None)
    places = {
        "querystring": "queryStringParameters",
        "path": "pathParameters",
        "stageVariables": "stageVariables",
        "context": "requestContext",
    }
    value: Any = event.get(places.get(kind, ""), {}) or {}
    for part in [name] if kind != "context" else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None else str(value)


def _text(value: Any) -> str:
    """Return a context value as the function gets it: always text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
