"""Open WebSocket connections, and the management API (`@connections`) that reaches them."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from infrastructure.local.data_plane.gateway import (
    LeftError,
    Receive,
    Scope,
    Send,
    TooLargeError,
    read_body,
)

GONE = b'{"message":"Gone"}'


@dataclass(slots=True, eq=False)
class Connection:
    """One client's WebSocket."""

    client: str
    user_agent: str
    host: str
    send: Callable[[str | bytes], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    id: str = field(
        default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()
    )
    connected: float = field(default_factory=time.time)
    active: float = field(default_factory=time.time)
    """Time of the last message in either direction; the monitor of idle connections looks at it."""
    authorizer: dict[str, str] | None = None


class Connections:
    """All open connections by id; an ASGI application for `.../@connections/{id}`."""

    def __init__(self, message_bytes: int) -> None:
        self._open: dict[str, Connection] = {}
        self._message_bytes = message_bytes

    def add(self, connection: Connection) -> None:
        """Make a connection reachable."""
        self._open[connection.id] = connection

    def remove(self, connection: Connection) -> None:
        """Forget a connection; whoever posts to it learns that it is gone."""
        self._open.pop(connection.id, None)

    def __len__(self) -> int:
        return len(self._open)

    async def answer(self, identifier: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of the management API: POST sends, GET describes, DELETE closes."""
        try:
            status, body = await self._answer(identifier, scope["method"], receive)
        except LeftError:
            return
        except TooLargeError:
            status, body = 413, b'{"message":"Payload too large"}'
        headers = [(b"content-type", b"application/json")]
        if status == 410:  # noqa: PLR2004 - Gone
            headers.append((b"x-amzn-errortype", b"GoneException"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, identifier: str, method: str, receive: Receive) -> tuple[int, bytes]:
        connection = self._open.get(identifier)
        if connection is None:
            return 410, GONE
        if method == "GET":
            return 200, orjson.dumps(
                {
                    "connectedAt": _time(connection.connected),
                    "identity": {
                        "sourceIp": connection.client,
                        "userAgent": connection.user_agent,
                    },
                    "lastActiveAt": _time(connection.active),
                }
            )
        if method == "DELETE":
            await connection.close()
            return 204, b""
        if method != "POST":
            return 403, b'{"message":"Missing Authentication Token"}'
        body = await read_body(receive, None, self._message_bytes)
        try:
            message: str | bytes = body.decode()
        except UnicodeDecodeError:
            message = body
        try:
            await connection.send(message)
        except ConnectionError:
            return 410, GONE
        return 200, b""


def _time(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
