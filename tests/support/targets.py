"""Services to probe: real servers on loopback that can be killed and come back."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Target:
    """An HTTP server that answers with a status, on a port of its own that it keeps when killed."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.asked.append(self.path)
                self.send_response(target.status)
                if target.status in (301, 302):
                    self.send_header("Location", f"http://127.0.0.1:{target.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def kill(self) -> None:
        """Stop listening: connections are refused."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"


@contextlib.contextmanager
def targets(number: int) -> Iterator[list[Target]]:
    """Run so many targets for the body."""
    made = [Target() for _ in range(number)]
    try:
        yield made
    finally:
        for target in made:
            target.kill()


@contextlib.contextmanager
def trickling() -> Iterator[int]:
    """Yield the port of a server that sends a byte now and then and never comes to an end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        over = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                for _ in range(200):
                    connection.sendall(b"H")
                    if over.wait(0.05):
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            thread.join()
