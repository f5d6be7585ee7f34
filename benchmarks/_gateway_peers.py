"""The peers of the gateway benchmark: how each is started with the same function behind it."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.catalog import Catalog, Function, RestApi, Route
from infrastructure.local.paths import PROJECT, default_paths
from infrastructure.local.ports import choose_port

HANDLER = """\
import json


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"hello": name}),
    }
"""
ASGI = """\
import json
from urllib.parse import parse_qs


async def app(scope, receive, send):
    name = parse_qs(scope["query_string"].decode()).get("name", ["world"])[-1]
    body = json.dumps({"hello": name}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
SERVE = """\
import pickle, sys
from pathlib import Path
import uvloop
from infrastructure.local.data_plane.server import DataPlane
from infrastructure.local.data_plane.settings import read_settings


async def serve():
    catalog = pickle.loads(Path(sys.argv[2]).read_bytes())
    await DataPlane(read_settings(Path(sys.argv[1])), lambda: catalog).run()


uvloop.run(serve())
"""
SERVERLESS = """\
service: hello
frameworkVersion: "3"
provider:
  name: aws
  runtime: python3.11
functions:
  hello:
    handler: hello.handler
    events:
      - http: {method: get, path: hello}
plugins: [serverless-offline]
"""
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: hello.handler
      CodeUri: .
      Events: {Get: {Type: Api, Properties: {Path: /hello, Method: get}}}
"""
NPM_PACKAGES = ("serverless@3", "serverless-offline@13.9.0")
IMAGE = "public.ecr.aws/lambda/python:3.13"
START_SECONDS = 60.0
PATH = "/hello?name=you"


class AbsentError(RuntimeError):
    """The peer cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started peer answers."""

    port: int
    path: str = PATH


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that can stand in front of a function."""

    key: str
    name: str
    start: Callable[[Path], AbstractContextManager[Running]]


@contextlib.contextmanager
def process(
    arguments: list[str], folder: Path, running: Running, environment: Mapping[str, str]
) -> Iterator[Running]:
    """Run a server until the end of the block, in a session of its own, and wait for its answer."""
    log = folder / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            arguments,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        limit = time.monotonic() + START_SECONDS
        while not _answers(running):
            if server.poll() is not None or time.monotonic() > limit:
                raise AbsentError(f"it did not start: {log.read_text()[-300:].strip()}")
            time.sleep(0.1)
        yield running
    finally:
        # The whole session: some servers leave the end of their children to others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(running: Running) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        connection.request("GET", running.path)
        answer = connection.getresponse()
        return answer.status == 200 and b'"hello"' in answer.read()  # noqa: PLR2004
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _port(name: str, taken: set[int] | None = None) -> int:
    return choose_port(None, taken=taken or set(), seed=f"benchmark {name} {os.getpid()}")


@contextlib.contextmanager
def bare_uvicorn(folder: Path) -> Iterator[Running]:
    """Run uvicorn with an ASGI application that does what the function does."""
    folder.mkdir()
    (folder / "bare.py").write_text(ASGI)
    port = _port("uvicorn")
    arguments = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port)]
    arguments += ["--no-access-log", "--loop", "uvloop", "--http", "httptools"]
    with process(arguments, folder, Running(port), {}) as running:
        yield running


@contextlib.contextmanager
def own_gateway(folder: Path) -> Iterator[Running]:
    """Run the data plane of this project."""
    folder.mkdir()
    code = folder / "functions" / "hello"
    code.mkdir(parents=True)
    (code / "hello.py").write_text(HANDLER)
    (folder / "serve.py").write_text(SERVE)
    port = _port("gateway")
    function = Function(
        name="hello",
        arn="arn:aws:lambda:us-east-1:000000000000:function:hello",
        handler="hello.hello.handler",
        timeout=10,
        memory=256,
        environment={},
        code=str(folder / "functions"),
    )
    api = RestApi(
        id="hello",
        name="hello",
        stage="local",
        routes=(Route(method="GET", path="/hello", function="hello"),),
    )
    catalog = Catalog(functions={"hello": function}, rest_api=api)
    (folder / "catalog").write_bytes(pickle.dumps(catalog))
    settings = {
        "project": str(PROJECT),
        "state": str(folder / "state"),
        "gateway_host": "127.0.0.1",
        "gateway_port": port,
        "invoke_port": _port("invoke", {port}),
        "aws_endpoint": "http://127.0.0.1:9",
        "stack_name": "benchmark",
        "template": "none",
        "amqp_url": "amqp://127.0.0.1:9",
    }
    (folder / "config.json").write_text(json.dumps(settings))
    arguments = [sys.executable, "serve.py", "config.json", "catalog"]
    with process(arguments, folder, Running(port), {"PYTHONPATH": str(PROJECT)}) as running:
        yield running


@contextlib.contextmanager
def ministack(folder: Path) -> Iterator[Running]:
    """Run the control plane, whose REST API has a URL of its own and workers of MiniStack."""
    from infrastructure.local.control_plane.ministack import MiniStack, python_of
    from infrastructure.local.paths import Paths
    from infrastructure.local.state import State

    programs = default_paths().programs
    paths = Paths(state=folder, programs=programs)
    if not python_of(paths.environments).exists():
        raise AbsentError("MiniStack is not installed; run `make`, which brings it")
    paths.create()
    stack = MiniStack(paths, State(paths))
    try:
        stack.start()
        stack.wait_ready(START_SECONDS)
        endpoint = stack.endpoints()["aws"]
        path = _create_api(endpoint)
        running = Running(int(endpoint.rpartition(":")[2]), path)
        if not _answers(running):
            raise AbsentError("its REST API does not answer")
        yield running
    finally:
        stack.stop()


def _create_api(endpoint: str) -> str:
    """Create function and REST API in the control plane; return the path that leads to it."""
    import boto3

    session = boto3.session.Session(
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("hello.py", HANDLER)
    functions = session.client("lambda", endpoint_url=endpoint)
    created: Any = functions.create_function(
        FunctionName="hello",
        Runtime=f"python3.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="hello.handler",
        Code={"ZipFile": package.getvalue()},
    )
    gateway = session.client("apigateway", endpoint_url=endpoint)
    api = gateway.create_rest_api(name="hello")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    resource = gateway.create_resource(restApiId=api, parentId=root, pathPart="hello")["id"]
    where = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    arn = created["FunctionArn"]
    gateway.put_integration(
        **where,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations",
    )
    gateway.create_deployment(restApiId=api, stageName="local")
    return f"/restapis/{api}/local/_user_request_{PATH}"


@contextlib.contextmanager
def serverless_offline(folder: Path) -> Iterator[Running]:
    """serverless-offline, the last version whose framework runs without a login."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise AbsentError("npm or node is not on the PATH")
    tools = default_paths().programs / "benchmarks" / "serverless-offline"
    program = tools / "node_modules" / "serverless" / "bin" / "serverless.js"
    if not program.exists():
        tools.mkdir(parents=True, exist_ok=True)
        # A folder of the same name above would take the packages otherwise.
        (tools / "package.json").write_text('{"private": true}\n')
        installed = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", *NPM_PACKAGES],
            cwd=tools,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if installed.returncode:
            raise AbsentError(f"npm cannot install it: {installed.stderr[-300:].strip()}")
    folder.mkdir()
    (folder / "hello.py").write_text(HANDLER)
    (folder / "serverless.yml").write_text(SERVERLESS)
    (folder / "node_modules").symlink_to(tools / "node_modules")
    port = _port("serverless")
    arguments = [node, str(program), "offline", "start", "--httpPort", str(port)]
    arguments += ["--lambdaPort", str(_port("serverless lambda", {port})), "--noPrependStageInUrl"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
        "SLS_TRACKING_DISABLED": "1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with process(arguments, folder, Running(port), environment) as running:
        yield running


@contextlib.contextmanager
def sam_local(folder: Path) -> Iterator[Running]:
    """`sam local start-api` with warm containers."""
    docker = shutil.which("docker")
    sam = default_paths().environments / "sam" / "bin" / "sam"
    if docker is None:
        raise AbsentError("docker is not on the PATH")
    if not sam.exists():
        raise AbsentError("the SAM CLI is not installed; run `make build`, which brings it")
    found = subprocess.run(
        [docker, "image", "inspect", IMAGE], capture_output=True, check=False, timeout=30
    )
    if found.returncode:
        raise AbsentError(f"no Docker engine with the image {IMAGE} answers")
    folder.mkdir()
    (folder / "hello.py").write_text(HANDLER)
    (folder / "template.yaml").write_text(TEMPLATE)
    port = _port("sam")
    arguments = [str(sam), "local", "start-api", "--port", str(port), "--skip-pull-image"]
    arguments += ["--warm-containers", "EAGER", "--no-watch"]
    environment = {
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        # It asks STS for the account first and waits for the answer.
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
    }
    with process(arguments, folder, Running(port), environment) as running:
        yield running


PEERS = (
    Peer("uvicorn", "uvicorn, no function (the limit)", bare_uvicorn),
    Peer("gateway", "Datapunk gateway", own_gateway),
    Peer("serverless-offline", "serverless-offline 13.9", serverless_offline),
    Peer("ministack", "MiniStack's own URL", ministack),
    Peer("sam", "sam local start-api", sam_local),
)
