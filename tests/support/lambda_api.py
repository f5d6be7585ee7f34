"""The one call of Lambda's API that runs functions, answered by a program of the test."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass
class LambdaApi:
    """What was invoked, and what is answered: `answer(name, kind, payload)` gives status, headers, body."""

    url: str = ""
    calls: list[tuple[str, str, bytes]] = field(default_factory=list)
    answer: Callable[[str, str, bytes], tuple[int, dict[str, str], bytes]] = lambda *_: (
        200,
        {},
        b"{}",
    )


@contextlib.contextmanager
def answering() -> Iterator[LambdaApi]:
    """Serve the API for the body."""
    api = LambdaApi()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            name = unquote(self.path.split("/")[3])
            kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
            api.calls.append((name, kind, payload))
            status, headers, body = api.answer(name, kind, payload)
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
