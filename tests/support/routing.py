"""Rules, and instances of services as processes of their own, for tests of the router."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datapunk import registry
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus.routing import (
    balancing,
    calling,
    forwarding,
    outgoing,
    response_cache,
    speed,
    table,
)
from datapunk.nexus.routing.rules import Route, RouteRule
from datapunk.nexus.routing.storage import delete_route, put_route
from datapunk.registry import PLATFORM, Kind, Registration, Weights

from tests.support.invoking import Answer, answer
from tests.support.samples import PROJECT, http_event

SERVICE = "billing"
ANN: dict[str, Any] = {"tenant": "public", "principal": "user:ann", "scopes": "read write"}
"""Somebody who sends requests."""


def forget_routing() -> None:
    """Become an environment that has routed nothing."""
    for module in (balancing, calling, forwarding, outgoing, response_cache, speed, table):
        module.forget()


@dataclass
class Upstream:
    """A running instance."""

    name: str
    port: int
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        self.process.kill()
        self.process.wait(10)

    def control(self, **values: Any) -> None:
        """Set what it answers: `status` (of a `share`), `seconds`, `answer`, `headers`; nothing: anew."""
        self._ask("POST", "/__control", json.dumps(values))

    def seen(self) -> list[dict[str, Any]]:
        """Return the requests that have arrived."""
        found: list[dict[str, Any]] = json.loads(self._ask("GET", "/__seen"))
        return found

    def methods(self) -> list[str]:
        """Return the methods of the requests that have arrived."""
        return [seen["method"] for seen in self.seen()]

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@contextlib.contextmanager
def running(name: str, port: int = 0) -> Iterator[Upstream]:
    """Run an instance, on a port of its own choice or a given one, for the body."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.upstream_server", name, str(port)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Upstream(name, int(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def instances(*names: str, service: str = SERVICE, **changes: Any) -> Iterator[list[Upstream]]:
    """Run and register instances of a service of the platform."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(running(name)) for name in names]
        for upstream in found:
            enter(upstream, service=service, **changes)
        yield found


def answer_once(service: str) -> None:
    """Register an instance that answers one request, and is gone after it or after ten seconds."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Once)
    server.timeout = 10

    def serve() -> None:
        with server:
            server.handle_request()

    threading.Thread(target=serve, daemon=True).start()
    registry.register(
        PLATFORM,
        Registration(
            id=f"{service}-once", service=service, address="127.0.0.1", port=server.server_port
        ),
        owner="service:tests",
    )
    registry.forget()


class _Once(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def enter(
    upstream: Upstream,
    *,
    service: str = SERVICE,
    weight: int = 1,
    tags: Sequence[str] = (),
    meta: Mapping[str, str] | None = None,
    tenant: str = PLATFORM,
) -> None:
    """Register a running instance."""
    registry.register(
        tenant,
        Registration(
            id=upstream.name,
            service=service,
            kind=Kind.HTTP,
            address="127.0.0.1",
            port=upstream.port,
            tags=tuple(tags),
            meta=dict(meta or {}),
            weights=Weights(passing=weight),
        ),
        owner="service:tests",
    )
    registry.forget()


def leave(name: str) -> None:
    """Take an instance out of the registry."""
    registry.deregister(PLATFORM, name, owner="service:tests")
    registry.forget()


def add_route(name: str = "billing", **rule: Any) -> Route:
    """Make a rule, by default for all of the service."""
    wanted = RouteRule.model_validate({"service": SERVICE, **rule})
    with transaction(SYSTEM) as tx:
        return put_route(tx, name, wanted)


def remove_route(name: str = "billing") -> None:
    with transaction(SYSTEM) as tx:
        delete_route(tx, name)


def ask(
    path: str = "/things",
    method: str = "GET",
    *,
    seconds: float = 29.0,
    service: str = SERVICE,
    **changes: Any,
) -> Answer:
    """Send a request through the router's handler."""
    event = request_event(path, method, service=service, **changes)
    return answer("nexus.route", event, seconds=seconds)


def read_later(accepted: Answer, **who: Any) -> Answer:
    """Ask for the answer to a request that was accepted, as Ann or somebody else."""
    event = http_event("nexus.get_request", path={"request": accepted.json["id"]}, **{**ANN, **who})
    return answer("nexus.get_request", event)


def request_event(
    path: str = "/things", method: str = "GET", *, service: str = SERVICE, **changes: Any
) -> dict[str, Any]:
    """Return the event of a request to a service; the path is as it came, percent-encoded."""
    event = http_event("nexus.route", **{"query": {}, "tenant": "public", **changes})
    event["httpMethod"] = event["requestContext"]["httpMethod"] = method
    event["path"] = f"/v1/services/{service}{path}"
    event["pathParameters"] = {"service": service, "path": path.strip("/")}
    return event


def header(seen: Mapping[str, Any], name: str) -> str | None:
    """Return a header of a request that has arrived."""
    return next((value for key, value in seen["headers"] if key == name), None)
