"""The REST API on one machine: what API Gateway does between a request and a function."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from infrastructure.local.catalog import Catalog, Route
from infrastructure.local.data_plane import gateway_responses as answers
from infrastructure.local.data_plane.authorizers import Authorizers, RefusedError, identity
from infrastructure.local.data_plane.gateway_responses import Case
from infrastructure.local.data_plane.invocation import (
    Outcome,
    ThrottledError,
    UnknownFunctionError,
)
from infrastructure.local.data_plane.proxy_event import (
    Request,
    proxy_event,
    read_request,
    request_context,
)
from infrastructure.local.data_plane.proxy_response import (
    MalformedResponseError,
    Response,
    read_response,
)
from infrastructure.local.data_plane.routing import Router
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Limits
from infrastructure.local.data_plane.throttle import Bucket

LOGGER = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class TooLargeError(ValueError):
    """The body is larger than the API takes."""


class LeftError(ConnectionError):
    """The client has left before its request was whole."""


class Gateway:
    """An ASGI application for the routes of the catalog's REST API."""

    def __init__(self, runner: Runner, limits: Limits) -> None:
        self._runner = runner
        self._limits = limits
        self._authorizers = Authorizers(runner)
        self._catalog = Catalog()
        self._router = Router(())
        self._bucket = Bucket(None, None)
        self._loop = asyncio.get_running_loop()

    def apply(self, catalog: Catalog) -> None:
        """Serve the routes of a catalog from now on."""
        before, self._catalog = self._catalog.rest_api, catalog
        api = catalog.rest_api
        self._router = Router(api.routes if api else ())
        self._authorizers.forget()
        limits = (api.burst_limit, api.rate_limit) if api else (None, None)
        if before is None or limits != (before.burst_limit, before.rate_limit):
            self._bucket = Bucket(*limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = read_request(scope)
        try:
            response = await self._answer(request, receive)
        except LeftError:
            return
        except RefusedError as refusal:
            response = self._own_answer(refusal.case, request)
        except MalformedResponseError as error:
            LOGGER.warning(
                "%s %s: malformed proxy response: %s", request.method, request.path, error
            )
            response = self._own_answer(answers.INTEGRATION_FAILURE, request)
        except Exception:
            LOGGER.exception("%s %s: the gateway itself failed", request.method, request.path)
            response = self._own_answer(answers.GATEWAY_FAILURE, request)
        response.headers.append((b"x-amzn-requestid", request.id.encode()))
        response.headers.append((b"x-amz-apigw-id", request.id.encode()))
        response.headers.append((b"x-amzn-trace-id", request.trace.encode("latin-1", "replace")))
        body = response.body
        if request.method != "HEAD" or not body:
            response.headers.append((b"content-length", str(len(body)).encode()))
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": response.headers,
            }
        )
        await send(
            {"type": "http.response.body", "body": b"" if request.method == "HEAD" else body}
        )

    async def _answer(self, request: Request, receive: Receive) -> Response:
        api = self._catalog.rest_api
        if api is None:
            raise RefusedError(answers.NOT_READY)
        match = self._router.find(request.method, request.path)
        if match is None:
            raise RefusedError(answers.NO_ROUTE)
        route = match.route
        request.parameters = match.parameters
        if not self._bucket.take():
            raise RefusedError(answers.THROTTLED)
        try:
            request.body = await read_body(
                receive, request.content_length, self._limits.request_bytes
            )
        except TooLargeError as error:
            raise RefusedError(answers.REQUEST_TOO_LARGE) from error
        context = request_context(request, route, api, self._catalog.account)
        event = proxy_event(request, route, api, context)
        if route.authorizer is not None:
            arn = self._method_arn(api.id, api.stage, request)
            context["authorizer"] = await self._authorizers.authorize(route.authorizer, event, arn)
        if route.api_key_required and not request.header("X-Api-Key"):
            raise RefusedError(answers.INVALID_API_KEY)
        self._require_parameters(route, event, request)
        payload = orjson.dumps(event)
        if len(payload) > self._limits.invoke_bytes:
            raise RefusedError(answers.REQUEST_TOO_LARGE)
        outcome = await self._invoke(route, payload, request.trace)
        if outcome.error:
            LOGGER.warning(
                "%s %s: %s failed: %s",
                *(request.method, request.path, route.function),
                outcome.payload[:500].decode("utf-8", "replace"),
            )
            raise RefusedError(answers.INTEGRATION_FAILURE)
        return read_response(outcome.payload, request.accept, api.binary_types)

    async def _invoke(self, route: Route, payload: bytes, trace: str) -> Outcome:
        """Wait for the function, but not beyond the wall; it goes on behind it."""
        try:
            running = self._runner.invoke(route.function, payload, trace=trace)
        except UnknownFunctionError as error:
            LOGGER.warning("Route %s %s leads to no function.", route.method, route.path)
            raise RefusedError(answers.INTEGRATION_FAILURE) from error
        wall = self._loop.call_later(min(route.timeout, self._limits.wall_seconds), running.cancel)
        try:
            return await running
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RefusedError(answers.INTEGRATION_TIMEOUT) from error
        except ThrottledError as error:
            raise RefusedError(answers.THROTTLED) from error
        finally:
            wall.cancel()

    def _require_parameters(self, route: Route, event: dict[str, Any], request: Request) -> None:
        """Refuse a request without the parameters that the method's validator insists on."""
        missing = [
            source.rpartition(".")[2]
            for source in route.required_parameters
            if identity(source, event) in (None, "")
        ]
        if missing:
            LOGGER.info("%s lacks %s.", request.path, missing)
            text = f"Missing required request parameters: [{', '.join(missing)}]"
            bad = answers.BAD_REQUEST_PARAMETERS
            raise RefusedError(Case(bad.kind, bad.status, text, bad.error_type))

    def _method_arn(self, api: str, stage: str, request: Request) -> str:
        catalog = self._catalog
        return (
            f"arn:aws:execute-api:{catalog.region}:{catalog.account}:{api}/{stage}/"
            f"{request.method}/{request.path.lstrip('/')}"
        )

    def _own_answer(self, case: Case, request: Request) -> Response:
        """Return an answer of the gateway's own."""
        rendered = answers.render(
            case,
            self._catalog.rest_api,
            request_id=request.id,
            path=request.path,
            method=request.method,
        )
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in rendered.headers
        ]
        return Response(rendered.status, headers, rendered.body)


async def read_body(receive: Receive, length: int | None, most: int) -> bytes:
    """Return a request's whole body. Raises `TooLargeError` as soon as it is, and `LeftError`."""
    if length is not None and length > most:
        raise TooLargeError
    message = await receive()
    if message["type"] == "http.disconnect":
        raise LeftError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise LeftError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLargeError
    return b"".join(parts)
