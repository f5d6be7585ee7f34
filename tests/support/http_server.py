"""HTTP functions behind a real HTTP server on loopback, as API Gateway would call them."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.support.invoking import run
from tests.support.samples import http_event, load_sample


class RequestHandler(BaseHTTPRequestHandler):
    """Turns a request into an event, and what the function answers into a response."""

    routes: ClassVar[Mapping[tuple[str, str], str]] = {}

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        parts = urlsplit(self.path)
        operation = self.routes.get((self.command, parts.path))
        if operation is None:
            self.send_error(404)
            return
        raw = run(operation, self.event(operation, parts.path, parts.query))
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

    def event(self, operation: str, path: str, query: str) -> dict[str, Any]:
        event = http_event(operation)
        names = set(self.headers)
        event["multiValueHeaders"] = {name: self.headers.get_all(name) for name in names}
        event["headers"] = {name: self.headers[name] for name in names}
        values = parse_qs(query, keep_blank_values=True)
        event["multiValueQueryStringParameters"] = values or None
        event["queryStringParameters"] = {k: v[-1] for k, v in values.items()} or None
        event["path"] = event["resource"] = path
        length = int(self.headers.get("Content-Length", 0))
        event["body"] = self.rfile.read(length).decode() or None
        return event

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(operations: Sequence[str], *more: tuple[str, str, str]) -> Iterator[str]:
    """Serve operations at the routes of their samples, and `more` of them; yield the URL.

    One of `more` is a method, a path and an operation.
    """
    samples = {operation: load_sample(operation) for operation in operations}
    known = {(item["httpMethod"], item["path"]): name for name, item in samples.items()}
    known |= {(method, path): operation for method, path, operation in more}
    handler = type("Routed", (RequestHandler,), {"routes": known})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
