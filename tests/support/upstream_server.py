"""An instance of a service, as a program: it answers what the request asks it to, and counts.

    python -m tests.support.upstream_server NAME

Prints its port. Paths: `/status/503` answers so, `/slow/1.5` takes so long, `/bytes` is no text, anything
else tells what has arrived. `/__control` sets what everything is answered with (`{"status": 503}`), or some
of it by chance (`{"status": 503, "share": 0.3}`); nothing there makes it forget what has arrived, which
`/__seen` tells. Ends when its standard input does, or after half an hour.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

NAME = sys.argv[1] if len(sys.argv) > 1 else ""
SECONDS = 1800.0
SEEN: list[dict[str, Any]] = []
CONTROL: dict[str, Any] = {}
CHANCE = random.Random(1)  # noqa: S311 -- no secret


class Handler(BaseHTTPRequestHandler):
    """Answers, and notes what it has answered."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts.path == "/__control":
            CONTROL.clear()
            CONTROL.update(json.loads(body))
            if not CONTROL:
                SEEN.clear()
            self.send(200, {})
            return
        if parts.path == "/__seen":
            self.send(200, SEEN)
            return
        seen = {
            "instance": NAME,
            "method": self.command,
            "path": parts.path,
            "query": parse_qsl(parts.query, keep_blank_values=True),
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body.decode("latin-1"),
        }
        SEEN.append(seen)
        segments = parts.path.strip("/").split("/")
        seconds = float(CONTROL.get("seconds", 0))
        if segments[0] == "slow":
            seconds = float(segments[1])
        if seconds:
            time.sleep(seconds)
        chosen = CHANCE.random() < CONTROL.get("share", 1)
        status = int(CONTROL.get("status", 200)) if chosen else 200
        if segments[0] == "status":
            status = int(segments[1])
        self.send(status, CONTROL.get("answer", seen), raw=segments[0] == "bytes")

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def send(self, status: int, document: Any, *, raw: bool = False) -> None:
        content = bytes(range(256)) if raw else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "image/png" if raw else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in CONTROL.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until told, or left alone."""
    server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    threading.Timer(SECONDS, os._exit, (1,)).start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
