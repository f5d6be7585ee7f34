"""HTTP functions behind a real HTTP server on loopback, as API Gateway would call them."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.invoking import run
from tests.support.samples import http_event, load_sample


@contextlib.contextmanager
def serving(operations: Sequence[str], *more: tuple[str, str, str]) -> Iterator[str]:
    """Serve operations at the routes of their samples, and `more` of them; yield the URL.

    One of `more` is a method, a path and an operation.
    """
    routes: dict[tuple[str, str], str] = {}
    for operation in operations:
        sample = load_sample(operation)
        routes[sample["httpMethod"], sample["path"]] = operation
    routes |= {(method, path): operation for method, path, operation in more}

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            operation = routes.get((self.command, parts.path))
            if operation is None:
                self.send_error(404)
                return
            length = int(self.headers.get("Content-Length", 0))
            raw = run(operation, self.event(operation, parts.path, parts.query, length))
            content = raw["body"].encode()
            if raw.get("isBase64Encoded"):
                content = base64.b64decode(raw["body"])
            self.send_response(raw["statusCode"])
            for name, values in raw["multiValueHeaders"].items():
                for value in values:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def event(self, operation: str, path: str, query: str, length: int) -> dict[str, Any]:
            event = http_event(operation)
            names = set(self.headers)
            event["multiValueHeaders"] = {name: self.headers.get_all(name) for name in names}
            event["headers"] = {name: self.headers[name] for name in names}
            values = parse_qs(query, keep_blank_values=True)
            event["multiValueQueryStringParameters"] = values or None
            event["queryStringParameters"] = {k: v[-1] for k, v in values.items()} or None
            event["path"] = event["resource"] = path
            event["body"] = self.rfile.read(length).decode() or None
            return event

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
