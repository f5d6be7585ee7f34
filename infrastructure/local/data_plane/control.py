"""The data plane's own routes under `/_datapunk/`; they never reach a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from infrastructure.local.data_plane.connections import Connections
from infrastructure.local.data_plane.gateway import Scope, Send

PREFIX = "/_datapunk/"
WEBSOCKET = f"{PREFIX}websocket"
CONNECTIONS = f"{WEBSOCKET}/@connections/"


class Control:
    """Answers readiness, counts, reload, and a look at the trust store."""

    def __init__(
        self,
        *,
        instance: str,
        is_ready: Callable[[], bool],
        describe: Callable[[], dict[str, Any]],
        reload: Callable[[], Awaitable[None]],
        trust: Callable[[], Awaitable[None]],
        connections: Connections,
    ) -> None:
        self._instance = instance
        self._is_ready = is_ready
        self._describe = describe
        self._reload = reload
        self._trust = trust
        self._connections = connections

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer one request."""
        status, value = await self._answer(scope["method"], scope["path"].removeprefix(PREFIX))
        body = orjson.dumps(value)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, name: str) -> tuple[int, dict[str, Any]]:
        if (method, name) == ("GET", "ready"):
            ready = self._is_ready()
            return (200 if ready else 503), {"ready": ready, "instance": self._instance}
        if (method, name) == ("GET", "functions"):
            return 200, {**self._describe(), "connections": len(self._connections)}
        changes = {"reload": self._reload, "trust": self._trust}
        if method == "POST" and name in changes:
            try:
                await changes[name]()
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                return 503, {"done": False, "reason": f"{type(error).__name__}: {error}"}
            return 200, {"done": True}
        return 404, {"message": f"There is no {method} {PREFIX}{name}."}
