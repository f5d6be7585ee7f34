"""Tools of others against the control plane: the `aws` command, localstack-client, an invocation."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.control_plane import aws
from infrastructure.local.control_plane.aws import Clients

from .conftest import STACK, Plane


def _aws(plane: Plane, *arguments: str) -> Any:
    """Run the `aws` command as a user would, and return what it prints."""
    command = Path(sys.executable).with_name("aws")
    answer = subprocess.run(
        [str(command), "--endpoint-url", plane.endpoint, "--output", "json", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(plane.paths.run),
            "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": aws.SECRET_KEY,
            "AWS_DEFAULT_REGION": aws.REGION,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(answer.stdout)


def test_the_aws_command_lists_stack_functions_and_api(deployed: Plane) -> None:
    # Given a deployed template
    # When
    stacks = _aws(deployed, "cloudformation", "list-stacks")["StackSummaries"]
    functions = _aws(deployed, "lambda", "list-functions")["Functions"]
    apis = _aws(deployed, "apigateway", "get-rest-apis")["items"]
    # Then
    assert STACK in {stack["StackName"] for stack in stacks}
    assert f"{STACK}-lake-create_dataset" in {item["FunctionName"] for item in functions}
    assert f"{STACK}-api" in {api["name"] for api in apis}


def test_a_localstack_session_works(deployed: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the variable that LocalStack's own clients read
    from localstack_client.session import Session

    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.endpoint)
    # When
    pages = Session().client("lambda").get_paginator("list_functions").paginate()
    functions = {item["FunctionName"] for page in pages for item in page["Functions"]}
    # Then
    assert f"{STACK}-stream-store_event" in functions


class _Invocations(http.server.BaseHTTPRequestHandler):
    """Stands where the data plane's Invoke API is, and answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = json.loads(body)
        failing = "fail" in event
        answer = {"errorMessage": "told to"} if failing else {"path": self.path, "event": event}
        content = json.dumps(answer).encode()
        self.send_response(200)
        if failing:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def invoke_api(deployed: Plane) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Invocations) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        deployed.paths.endpoints.write_text(json.dumps({"invoke": url}), encoding="utf-8")
        yield
        deployed.paths.endpoints.unlink()
        server.shutdown()
        thread.join(5)


@pytest.mark.usefixtures("invoke_api")
def test_an_invocation_through_the_control_plane_reaches_the_data_plane(deployed: Plane) -> None:
    # Given a running data plane
    function = f"{STACK}-lake-get_dataset"
    # When somebody invokes by the control plane's address
    answer = Clients(deployed.endpoint)("lambda").invoke(
        FunctionName=function, Payload=b'{"x": [1]}'
    )
    # Then the data plane got it
    assert json.load(answer["Payload"]) == {
        "path": f"/2015-03-31/functions/{function}/invocations",
        "event": {"x": [1]},
    }


@pytest.mark.usefixtures("invoke_api")
def test_a_function_error_comes_through_too(deployed: Plane) -> None:
    # Given / When
    answer = Clients(deployed.endpoint)("lambda").invoke(
        FunctionName=f"{STACK}-lake-get_dataset", Payload=b'{"fail": true}'
    )
    # Then
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorMessage"] == "told to"


def test_an_invocation_without_a_data_plane_says_what_to_do(deployed: Plane) -> None:
    # Given no endpoints file
    # When
    answer = Clients(deployed.endpoint)("lambda").invoke(
        FunctionName=f"{STACK}-lake-list_datasets", Payload=b"{}"
    )
    # Then
    assert answer["FunctionError"] == "Unhandled"
    assert "make up" in json.load(answer["Payload"])["errorMessage"]
