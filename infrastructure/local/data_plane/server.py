"""The data plane as a whole: its servers, the runner and the event sources on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from infrastructure.local.catalog import Catalog
from infrastructure.local.control_plane.trust_store import TrustStoreReader
from infrastructure.local.data_plane import control
from infrastructure.local.data_plane.asynchronous import AsynchronousInvoker
from infrastructure.local.data_plane.connections import Connections
from infrastructure.local.data_plane.gateway import Gateway, Receive, Scope, Send
from infrastructure.local.data_plane.invoke_api import InvokeApi, describe
from infrastructure.local.data_plane.mutual_tls import MutualTls, MutualTlsProtocol
from infrastructure.local.data_plane.reload import Reloader
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Settings
from infrastructure.local.data_plane.websocket import WebSocketGateway
from infrastructure.local.event_sources import EventSources

LOGGER = logging.getLogger(__name__)
RETRY_SECONDS = 0.5
SHUTDOWN_SECONDS = 3
BACKLOG = 1024


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the data plane, which has two of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class DataPlane:
    """Everything between a request or event and a function. Create it inside a running loop."""

    def __init__(self, settings: Settings, read_catalog: Callable[[], Catalog]) -> None:
        self._settings = settings
        self._read_catalog = read_catalog
        limits = settings.limits
        self.runner = Runner(
            project=settings.project,
            logs=settings.logs,
            limits=limits,
            extra=settings.environment,
        )
        self._asynchronous = AsynchronousInvoker(self.runner, limits)
        self._gateway = Gateway(self.runner, limits)
        self._connections = Connections(limits.message_bytes)
        self._websocket = WebSocketGateway(self.runner, self._connections, limits)
        self._invoke = InvokeApi(
            self.runner, self._asynchronous, limits, lambda: settings.aws_endpoint
        )
        self._mutual_tls = MutualTls(settings.tls, TrustStoreReader(settings.aws_endpoint))
        self._ready = False
        self._control = control.Control(
            instance=str(settings.state),
            is_ready=lambda: self._ready,
            describe=self._describe,
            reload=self.reload,
            trust=self._mutual_tls.refresh,
            connections=self._connections,
        )
        self._reloader = Reloader(self.runner)
        self._sources = EventSources(self.runner, self._asynchronous, settings)
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then end everything that was started."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        settings = self._settings
        servers = [
            self._server(self._answer, settings.gateway_host, settings.gateway_port),
            self._server(self._invoke, "127.0.0.1", settings.invoke_port),
        ]
        if settings.mutual_tls_port is not None:
            # Of the API only: what steers the data plane is not there.
            servers.append(
                self._server(
                    self._gateway,
                    settings.gateway_host,
                    settings.mutual_tls_port,
                    http=MutualTlsProtocol,
                    ws="none",
                    ssl_context_factory=lambda *_: self._mutual_tls.context,
                )
            )
        serving = [loop.create_task(server.serve()) for server in servers]
        first = loop.create_task(self._first_catalog())
        following = loop.create_task(self._mutual_tls.follow())
        stopping = loop.create_task(self._stop.wait())
        try:
            # A port that is taken ends the server, and with it the data plane.
            await asyncio.wait([*serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                raise SystemExit(1)
        finally:
            first.cancel()
            following.cancel()
            stopping.cancel()
            self._reloader.close()
            await self._sources.close()
            for server in servers:
                server.should_exit = True
            # Requests in flight are answered before their environments go.
            await asyncio.gather(*serving, return_exceptions=True)
            await self._asynchronous.close()
            self.runner.close()

    async def reload(self) -> None:
        """Read the catalog anew and serve by it. Raises what reading it raises."""
        async with self._reloading:
            catalog = await asyncio.to_thread(self._read_catalog)
            self.runner.apply(catalog)
            self._gateway.apply(catalog)
            self._websocket.apply(catalog)
            self._mutual_tls.apply(catalog.trust_store)
            self._reloader.apply(catalog)
            self._sources.apply(catalog)
            await self.runner.ready()
            self._ready = True

    async def _first_catalog(self) -> None:
        """Read the catalog as soon as the control plane has it."""
        said = ""
        while True:
            try:
                await self.reload()
            except Exception as error:  # noqa: BLE001 - the control plane may be of any state
                reason = f"{type(error).__name__}: {error}"
                if reason != said:
                    LOGGER.warning("No catalog yet: %s", reason)
                    said = reason
                await asyncio.sleep(RETRY_SECONDS)
            else:
                # What is here now stays; the collector need not go through it at every request.
                gc.collect()
                gc.freeze()
                LOGGER.info("Ready with %d functions.", len(self.runner.catalog.functions))
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request of the gateway's port to where it belongs."""
        path = scope["path"]
        if scope["type"] == "websocket":
            if path.rstrip("/") == control.WEBSOCKET:
                await self._websocket(scope, receive, send)
            else:
                await send({"type": "websocket.close"})
        elif not path.startswith(control.PREFIX):
            await self._gateway(scope, receive, send)
        elif path.startswith(control.CONNECTIONS):
            identifier = path.removeprefix(control.CONNECTIONS)
            await self._connections.answer(identifier, scope, receive, send)
        else:
            await self._control(scope, send)

    def _describe(self) -> dict[str, Any]:
        return {
            "ready": self._ready,
            "fork_server": self.runner.fork_server,
            "functions": describe(self.runner, self._asynchronous),
            "event_sources": self._sources.status(),
            "trusted_roots": self._mutual_tls.roots,
        }

    def _server(self, application: Any, host: str, port: int, **more: Any) -> QuietServer:
        speaks = {"http": "httptools", "ws": "websockets-sansio", **more}
        return QuietServer(
            uvicorn.Config(
                application,
                host=host,
                port=port,
                ws_max_size=self._settings.limits.message_bytes,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                **speaks,
            )
        )
