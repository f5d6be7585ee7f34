"""A callee whose answers are written down: Lambda's Invoke API on loopback, for tests of callers."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from datapunk.errors import DatapunkError
from datapunk.mesh.answering import refusal

Answer = bytes | DatapunkError | int | float
"""A message, an error, the status of an answer that is not the function's, or seconds to say nothing."""


@dataclass
class Callee:
    """Answers calls with what it is told, the last answer again and again; keeps what it got."""

    url: str = ""
    answers: Sequence[Answer] = ()
    events: list[dict[str, Any]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def next_answer(self) -> Answer:
        place = min(len(self.events), len(self.answers)) - 1
        return self.answers[place]

    def header(self, name: str) -> list[str | None]:
        """Return a header of every call."""
        return [event["headers"].get(name) for event in self.events]


@contextlib.contextmanager
def answering(*answers: Answer) -> Iterator[Callee]:
    """Serve a callee for the body."""
    callee = Callee(answers=answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            callee.functions.append(self.path.split("/")[3])
            length = int(self.headers["Content-Length"])
            callee.events.append(json.loads(self.rfile.read(length)))
            status, body = 200, _body(callee.events[-1], callee.next_answer())
            if isinstance(body, int):
                status, body = body, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    callee.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield callee
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _body(event: dict[str, Any], answer: Answer) -> bytes | int:
    if isinstance(answer, float):
        time.sleep(answer)
        return 500
    if isinstance(answer, int):
        return answer
    if isinstance(answer, DatapunkError):
        return json.dumps(refusal(answer)).encode()
    binary = event["headers"]["content-type"] == "application/proto"
    body = base64.b64encode(answer).decode() if binary else answer.decode()
    return json.dumps({"statusCode": 200, "body": body, "isBase64Encoded": binary}).encode()
