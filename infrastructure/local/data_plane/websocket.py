"""The WebSocket API on one machine: connections become events, answers become messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from infrastructure.local.catalog import Catalog, WebSocketApi
from infrastructure.local.data_plane.authorizers import Authorizers, RefusedError
from infrastructure.local.data_plane.connections import Connection, Connections
from infrastructure.local.data_plane.gateway import Receive, Scope, Send
from infrastructure.local.data_plane.invocation import (
    Outcome,
    ThrottledError,
    UnknownFunctionError,
)
from infrastructure.local.data_plane.proxy_event import header_name, request_time
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Limits

LOGGER = logging.getLogger(__name__)
SELECTION_PREFIX = "$request.body."
GOING_AWAY = 1001
ACCEPTED = range(200, 300)
BAD_GATEWAY = 502
NOT_FOUND = 403
MONITOR_SECONDS = 5.0


class RejectedError(ConnectionRefusedError):
    """The connection is not accepted; `status` is the HTTP status the client gets."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class WebSocketGateway:
    """An ASGI application for the WebSocket API of the catalog."""

    def __init__(self, runner: Runner, connections: Connections, limits: Limits) -> None:
        self._runner = runner
        self._connections = connections
        self._limits = limits
        self._authorizers = Authorizers(runner)
        self._catalog = Catalog()

    def apply(self, catalog: Catalog) -> None:
        """Serve the WebSocket API of a catalog from now on; open connections stay open."""
        self._catalog = catalog
        self._authorizers.forget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends."""
        await receive()  # websocket.connect
        headers = {header_name(name): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope["client"]
        connection = Connection(
            client=client[0] if client else "127.0.0.1",
            user_agent=headers.get("User-Agent", ""),
            host=headers.get("Host", "localhost"),
            send=lambda message: _send(connection, send, message),
            close=lambda: _close(send),
        )
        try:
            more = await self._connect(connection, scope, headers)
        except RejectedError as rejection:
            await self._reject(scope, send, rejection.status)
            return
        self._connections.add(connection)
        await send({"type": "websocket.accept", **more})
        monitor = asyncio.ensure_future(self._monitor(connection))
        code = 1006
        try:
            code = await self._serve(connection, receive)
        finally:
            monitor.cancel()
            self._connections.remove(connection)
            await self._disconnect(connection, code, headers)

    async def _connect(
        self, connection: Connection, scope: Scope, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Ask authorizer and `$connect`; return what the acceptance carries."""
        api = self._catalog.websocket_api
        if api is None:
            raise RejectedError(NOT_FOUND)
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        event: dict[str, Any] = {
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": dict(pairs) or None,
            "multiValueQueryStringParameters": _lists(pairs) or None,
            "requestContext": self._context(api, connection, "$connect", "CONNECT"),
            "isBase64Encoded": False,
        }
        if api.authorizer is not None:
            catalog = self._catalog
            arn = (
                f"arn:aws:execute-api:{catalog.region}:{catalog.account}:{api.id}/{api.stage}/"
                "$connect"
            )
            try:
                # A WebSocket API remembers no answer of its authorizer.
                authorizer = replace(api.authorizer, ttl=0)
                context = await self._authorizers.authorize(authorizer, event, arn)
            except RefusedError as refusal:
                raise RejectedError(refusal.case.status) from refusal
            connection.authorizer = event["requestContext"]["authorizer"] = dict(context)
        function = api.routes.get("$connect")
        if function is None:
            return {}
        outcome = await self._invoke(function, event)
        answer = _object(outcome)
        status = answer.get("statusCode") if answer is not None else None
        if not isinstance(status, int):
            raise RejectedError(BAD_GATEWAY)
        if status not in ACCEPTED:
            raise RejectedError(status)
        given = {name.lower(): value for name, value in (answer or {}).get("headers", {}).items()}
        protocol = given.get("sec-websocket-protocol")
        return {"subprotocol": protocol} if protocol else {}

    async def _serve(self, connection: Connection, receive: Receive) -> int:
        """Pass messages on until the client leaves; return the closing code."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1005)
            connection.active = time.time()
            text = message.get("text")
            body = text if text is not None else message.get("bytes") or b""
            with contextlib.suppress(ConnectionError):
                await self._message(connection, body)

    async def _message(self, connection: Connection, body: str | bytes) -> None:
        api = self._catalog.websocket_api
        if api is None:
            return
        route = select_route(api, body)
        if route is None:
            await self._complain(connection, "Forbidden")
            return
        context = self._context(api, connection, route, "MESSAGE")
        context["messageId"] = secrets.token_urlsafe(11)
        if isinstance(body, bytes):
            body = body.decode("utf-8", "replace")
        event = {"requestContext": context, "body": body, "isBase64Encoded": False}
        outcome = await self._invoke(api.routes[route], event)
        if outcome is None or outcome.error:
            await self._complain(connection, "Internal server error", context["requestId"])
            return
        answer = _object(outcome)
        if route in api.answering_routes and answer and isinstance(answer.get("body"), str):
            await connection.send(answer["body"])

    async def _disconnect(
        self, connection: Connection, code: int, headers: Mapping[str, str]
    ) -> None:
        api = self._catalog.websocket_api
        function = api.routes.get("$disconnect") if api else None
        if api is None or function is None:
            return
        context = self._context(api, connection, "$disconnect", "DISCONNECT")
        context["disconnectStatusCode"] = code
        context["disconnectReason"] = ""
        await self._invoke(
            function,
            {"headers": dict(headers), "requestContext": context, "isBase64Encoded": False},
        )

    async def _invoke(self, function: str, event: Mapping[str, Any]) -> Outcome | None:
        """Run a function; None when it could not be run, which is logged."""
        try:
            outcome = await self._runner.invoke(function, orjson.dumps(event))
        except (ThrottledError, UnknownFunctionError) as error:
            LOGGER.warning("WebSocket route cannot run %s: %s", function, error)
            return None
        if outcome.error:
            LOGGER.warning("WebSocket function %s failed: %s", function, outcome.payload[:500])
        return outcome

    async def _complain(
        self, connection: Connection, message: str, request_id: str | None = None
    ) -> None:
        """Tell the client what went wrong, in the words of API Gateway."""
        body = {
            "message": message,
            "connectionId": connection.id,
            "requestId": request_id or secrets.token_urlsafe(11),
        }
        await connection.send(orjson.dumps(body).decode())

    async def _monitor(self, connection: Connection) -> None:
        """Close a connection that has been idle, or open, for too long."""
        limits = self._limits
        step = min(MONITOR_SECONDS, limits.websocket_idle_seconds / 2, limits.websocket_seconds / 2)
        while True:
            await asyncio.sleep(step)
            now = time.time()
            if (
                now - connection.active > limits.websocket_idle_seconds
                or now - connection.connected > limits.websocket_seconds
            ):
                await connection.close()
                return

    def _context(
        self, api: WebSocketApi, connection: Connection, route: str, kind: str
    ) -> dict[str, Any]:
        now = time.time()
        request_id = secrets.token_urlsafe(11)
        context: dict[str, Any] = {
            "routeKey": route,
            "eventType": kind,
            "extendedRequestId": request_id,
            "requestTime": request_time(int(now)),
            "messageDirection": "IN",
            "stage": api.stage,
            "connectedAt": int(connection.connected * 1000),
            "requestTimeEpoch": int(now * 1000),
            "identity": {"sourceIp": connection.client, "userAgent": connection.user_agent},
            "requestId": request_id,
            "domainName": connection.host,
            "connectionId": connection.id,
            "apiId": api.id,
        }
        if connection.authorizer is not None:
            context["authorizer"] = connection.authorizer
        return context

    async def _reject(self, scope: Scope, send: Send, status: int) -> None:
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close"})
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"0")]
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})


def select_route(api: WebSocketApi, body: str | bytes) -> str | None:
    """Return the key of the route that a message belongs to, None when there is none.

    The selection expression names a field of a JSON body, such as `$request.body.action`.
    """
    key: Any = None
    if api.selection.startswith(SELECTION_PREFIX):
        with contextlib.suppress(orjson.JSONDecodeError):
            key = orjson.loads(body)
            for name in api.selection.removeprefix(SELECTION_PREFIX).split("."):
                key = key.get(name) if isinstance(key, dict) else None
    if isinstance(key, str) and key in api.routes and not key.startswith("$"):
        return key
    return "$default" if "$default" in api.routes else None


async def _send(connection: Connection, send: Send, message: str | bytes) -> None:
    """Send a message. Raises `ConnectionError` when the client is gone."""
    kind = "text" if isinstance(message, str) else "bytes"
    try:
        await send({"type": "websocket.send", kind: message})
    except (OSError, RuntimeError) as error:
        raise ConnectionResetError(connection.id) from error
    connection.active = time.time()


async def _close(send: Send) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # it may be gone already
        await send({"type": "websocket.close", "code": GOING_AWAY})


def _lists(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    return lists


def _object(outcome: Outcome | None) -> dict[str, Any] | None:
    """Return the object a function returned; None for anything else and for a failure."""
    if outcome is None or outcome.error:
        return None
    with contextlib.suppress(orjson.JSONDecodeError):
        answer = orjson.loads(outcome.payload)
        if isinstance(answer, dict):
            return answer
    return None
