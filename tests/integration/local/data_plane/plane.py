"""A data plane of a test's own, and ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from infrastructure.local.catalog import (
    Authorizer,
    Catalog,
    Function,
    RestApi,
    Route,
    WebSocketApi,
)
from infrastructure.local.paths import PROJECT
from infrastructure.local.ports import choose_port

HERE = Path(__file__).parent
START_SECONDS = 30.0


@dataclass
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes
    lists: list[tuple[str, str]] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)


class Plane:
    """One data plane: its process, its folders, its catalog."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.functions = folder / "functions"
        self.layer = folder / "layer"
        self.state = folder / "state"
        folder.mkdir(exist_ok=True)
        shutil.copytree(HERE / "functions", self.functions)
        self.layer.mkdir()
        (self.layer / "helper.py").write_text('VALUE = "first"\n')
        self.gateway_port = choose_port(None, taken=set(), seed=f"{folder} gateway")
        self.invoke_port = choose_port(None, taken={self.gateway_port}, seed=f"{folder} invoke")
        self.settings = {
            "project": str(PROJECT),
            "state": str(self.state),
            "gateway_host": "127.0.0.1",
            "gateway_port": self.gateway_port,
            "invoke_port": self.invoke_port,
            "aws_endpoint": "http://127.0.0.1:9",
            "stack_name": "test",
            "template": str(folder / "none.json"),
            "amqp_url": "amqp://127.0.0.1:9",
            "environment": {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def function(self, operation: str, **more: Any) -> Function:
        name = more.pop("name", f"test-{operation.replace('.', '-')}")
        values: dict[str, Any] = {
            "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "handler": f"{operation}.handler",
            "timeout": 5.0,
            "memory": 256,
            "environment": {"OWN": "value"},
            "code": str(self.functions),
            **more,
        }
        return Function(name=name, **values)

    def catalog(self, **more: Any) -> Catalog:
        operations = sorted(
            ".".join(path.relative_to(self.functions).with_suffix("").parts)
            for path in self.functions.glob("*/*.py")
        )
        functions = {}
        for operation in operations:
            function = self.function(operation)
            if operation == "probe.layered":
                function = self.function(operation, layers=(str(self.layer),))
            functions[function.name] = function
        for function in more.pop("functions", ()):
            functions[function.name] = function
        values: dict[str, Any] = {
            "functions": functions,
            "rest_api": rest_api(),
            "websocket_api": WebSocketApi(
                id="sockets",
                name="sockets",
                stage="local",
                routes={
                    "$connect": "test-chat-connect",
                    "$disconnect": "test-chat-disconnect",
                    "$default": "test-chat-message",
                    "greet": "test-chat-message",
                },
                answering_routes=frozenset({"$default", "greet"}),
                authorizer=Authorizer(
                    name="sockets",
                    function="test-gate-authorize",
                    kind="REQUEST",
                    identity_sources=("route.request.querystring.token",),
                ),
            ),
            **more,
        }
        return Catalog(**values)

    def write(self, catalog: Catalog) -> None:
        (self.folder / "catalog").write_bytes(pickle.dumps(catalog))

    def start(self, catalog: Catalog | None = None, *, wait: bool = True) -> Plane:
        self.state.mkdir(exist_ok=True)
        self.write(catalog or self.catalog())
        return self.restart(wait=wait)

    def restart(self, *, wait: bool = False) -> Plane:
        """Start the process on what is there."""
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.settings))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "serve.py"), str(config), str(self.folder / "catalog")],
                cwd=PROJECT,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(PROJECT),
                    "SECRET_OF_THE_LAUNCHER": "hidden",
                },
                stdout=log,
                stderr=log,
            )
        if wait:
            eventually(self.is_ready, START_SECONDS, self.log)
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.get("/_datapunk/ready").status == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def reload(self, catalog: Catalog) -> None:
        self.write(catalog)
        answer = self.request("POST", "/_datapunk/reload")
        assert answer.status == 200, answer.body

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def function_log(self, operation: str) -> str:
        return (self.state / "logs" / f"{operation}.log").read_text()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=40)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            pairs = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(response.status, dict(pairs), response.read(), pairs)
        finally:
            connection.close()

    def client(self) -> Any:
        """Return a stock client of Lambda."""
        return boto3.session.Session(
            region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        ).client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{self.invoke_port}",
            config=Config(retries={"max_attempts": 0}, read_timeout=40),
        )

    def invoke(self, operation: str, event: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
        """Invoke with the stock client; return the decoded payload and the whole answer."""
        client = self.client()
        try:
            answer = client.invoke(
                FunctionName=f"test-{operation.replace('.', '-')}",
                Payload=json.dumps(event or {}),
                **more,
            )
            return json.loads(answer["Payload"].read() or b"null"), answer
        finally:
            client.close()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("/_datapunk/functions").json()
        return status

    def counts(self, operation: str) -> dict[str, Any]:
        counts: dict[str, Any] = self.status()["functions"][f"test-{operation.replace('.', '-')}"]
        return counts


def rest_api() -> RestApi:
    """Return an API with a route of every kind."""

    def route(method: str, path: str, operation: str, **more: Any) -> Route:
        return Route(
            method=method, path=path, function=f"test-{operation.replace('.', '-')}", **more
        )

    token = Authorizer(
        name="token",
        function="test-gate-authorize",
        kind="TOKEN",
        identity_sources=("method.request.header.Authorization",),
        identity_validation="^[a-z]+$",
    )
    request = Authorizer(
        name="request",
        function="test-gate-authorize",
        kind="REQUEST",
        identity_sources=("method.request.header.X-Token",),
        ttl=0,
    )
    return RestApi(
        id="api123",
        name="api",
        stage="local",
        binary_types=("image/png", "application/zip"),
        stage_variables={"color": "green"},
        routes=(
            route("GET", "/v1/echo", "probe.echo"),
            route("POST", "/v1/echo", "probe.echo"),
            route("GET", "/v1/echo/{name}", "probe.echo"),
            route("GET", "/v1/echo/special", "probe.slow"),
            route("ANY", "/v1/files/{proxy+}", "probe.echo"),
            route("GET", "/v1/misbehave", "probe.misbehave"),
            route("GET", "/v1/broken", "probe.broken"),
            route("GET", "/v1/slow", "probe.slow"),
            route("GET", "/v1/wall", "probe.slow", timeout=0.3),
            route("GET", "/v1/layered", "probe.layered"),
            route("POST", "/v1/respond", "probe.respond"),
            route("HEAD", "/v1/echo", "probe.echo"),
            route("GET", "/v1/lost", "probe.nowhere"),
            route("GET", "/v1/token/{id}", "probe.echo", authorizer=token),
            route("DELETE", "/v1/token/{id}", "probe.echo", authorizer=token),
            route("GET", "/v1/request", "probe.echo", authorizer=request),
            route(
                "GET",
                "/v1/needs",
                "probe.echo",
                required_parameters=(
                    "method.request.querystring.limit",
                    "method.request.header.X-Kind",
                ),
            ),
        ),
    )


def eventually(
    condition: Callable[[], Any], seconds: float = 15.0, explain: Callable[[], str] | None = None
) -> Any:
    """Wait until a condition holds and return its value; fail after a bounded time."""
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < limit, explain() if explain else "it never happened"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is more than a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] not in "ZX"
