"""What stands beside the API: endpoints, AWS tools, status, logs, and who may reach any of it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import localstack_client.session
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from infrastructure.local.services.readiness import (
    amqp_ready,
    management_ready,
    postgres_ready,
    redis_ready,
)
from tests.e2e.clone import Clone
from tests.e2e.processes import inodes_of, processes_of, sockets
from tests.e2e.web import Web

STACK = "datapunk-local"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
LOG_FIELDS = {"timestamp", "level", "service", "message", "trace_id", "span_id", "correlation_id"}


def _api_answers(url: str) -> bool:
    return Web(url).get("/v1/nexus/health/live").status == 200


def _websocket_answers(url: str) -> bool:
    """Tell whether the gateway knows the protocol: no WebSocket API is deployed, so it refuses."""
    with pytest.raises(InvalidStatus) as refusal, connect(url, proxy=None):
        pass
    return 400 <= refusal.value.response.status_code < 500


def _aws_answers(url: str) -> bool:
    client = boto3.client(
        "sts",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return bool(client.get_caller_identity()["Account"] == "000000000000")


def _mutual_tls_asks_for_a_certificate(url: str) -> bool:
    place = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((str(place.hostname), place.port), timeout=10) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        try:
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return wrapped.recv(1) == b""
        except OSError:
            return True


def _invoke_answers(url: str) -> bool:
    function = f"{STACK}-stream-declare_topology"
    answer = Web(url).post(f"/2015-03-31/functions/{function}/invocations", {})
    assert "x-amz-function-error" not in answer.headers, answer.body
    return "stream.store_event" in answer.json()["queues"]


PROTOCOLS: dict[str, Callable[[str], bool]] = {
    "api": _api_answers,
    "mutual_tls": _mutual_tls_asks_for_a_certificate,
    "websocket": _websocket_answers,
    "aws": _aws_answers,
    "invoke": _invoke_answers,
    "database": postgres_ready,
    "redis": redis_ready,
    "amqp": amqp_ready,
    "amqp_management": management_ready,
}


def test_the_endpoints_file_names_what_runs(platform: Clone) -> None:
    # When
    named = platform.endpoints
    # Then
    assert set(named) == set(PROTOCOLS)
    assert platform.paths.endpoints.stat().st_mode & 0o077 == 0, "it holds passwords"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_endpoint_answers_in_its_own_protocol(platform: Clone, name: str) -> None:
    assert PROTOCOLS[name](platform.endpoints[name])


def aws(platform: Clone, *arguments: str) -> Any:
    """Run the AWS command line against the instance."""
    done = subprocess.run(
        [
            *(
                str(Path(sys.executable).parent / "aws"),
                "--endpoint-url",
                platform.endpoints["aws"],
            ),
            *("--output", "json", *arguments),
        ],
        env={**os.environ, **CREDENTIALS},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_the_aws_command_lists_the_stack_its_functions_and_its_api(platform: Clone) -> None:
    # Given
    files = (platform.folder / "functions").glob("*/*.py")
    operations = {f"{STACK}-{file.parent.name}-{file.stem}" for file in files}
    # When
    stack = aws(platform, "cloudformation", "describe-stacks", "--stack-name", STACK)
    functions = aws(platform, "lambda", "list-functions")
    apis = aws(platform, "apigateway", "get-rest-apis")
    # Then
    assert stack["Stacks"][0]["StackStatus"].endswith("_COMPLETE")
    assert {item["FunctionName"] for item in functions["Functions"]} >= operations
    assert len(apis["items"]) == 1


def test_a_localstack_client_works_with_it(
    platform: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("AWS_ENDPOINT_URL", platform.endpoints["aws"])
    session = localstack_client.session.Session(region_name="us-east-1")
    # When
    stacks = session.client("cloudformation").list_stacks()["StackSummaries"]
    buckets = session.client("s3").list_buckets()["Buckets"]
    # Then
    assert STACK in [stack["StackName"] for stack in stacks]
    assert buckets


def test_everything_listens_on_loopback_only(platform: Clone) -> None:
    # Given
    instance = processes_of(platform.folder)
    inodes = {inode: pid for pid in instance for inode in inodes_of(pid)}
    # When
    listening = [item for item in sockets() if item.listening and item.inode in inodes]
    # Then
    ports = {urlsplit(url).port for url in platform.endpoints.values()}
    assert {item.port for item in listening} >= ports
    abroad = [item for item in listening if not item.address.is_loopback]
    assert abroad == [], [instance[inodes[item.inode]] for item in abroad]


def test_another_address_of_this_machine_is_refused(platform: Clone) -> None:
    for url in platform.endpoints.values():
        with socket.socket() as probe:
            probe.settimeout(5)
            assert probe.connect_ex(("127.0.0.2", urlsplit(url).port or 0)) != 0, url


def test_status_shows_every_part(platform: Clone) -> None:
    # When
    done = platform.run("status")
    # Then
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert list(lines) == ["postgres", "redis", "rabbitmq", "aws", "api"]
    assert all(line.split()[1] == "ready" for line in lines.values())
    password = urlsplit(platform.endpoints["database"]).password
    assert password
    assert password not in done.stdout


def test_logs_are_filtered_by_name_and_carry_the_fields(platform: Clone) -> None:
    # Given
    correlation = "log-test-4711"
    platform.api.get("/v1/lake/datasets", X_Correlation_Id=correlation)
    # When
    done = platform.run("logs", "--name", "lake.list", "--lines", "50")
    everything = platform.run("logs", "--lines", "1")
    nothing = platform.run("logs", "--name", "no.such.function")
    # Then
    names = {line.split("|")[0].strip() for line in done.stdout.splitlines()}
    assert "lake.list_datasets" in names
    assert [name for name in names if not name.startswith("lake.list")] == []
    entries = [
        json.loads(line.split("| ", 1)[1])
        for line in done.stdout.splitlines()
        if correlation in line
    ]
    assert [entry["message"] for entry in entries] == ["request"]
    assert set(entries[0]) >= LOG_FIELDS
    assert entries[0]["service"] == "lake"
    assert {"postgres", "redis", "rabbitmq", "data-plane", "lake.list_datasets"} <= {
        line.split("|")[0].strip() for line in everything.stdout.splitlines()
    }
    assert nothing.returncode == 1
    assert "There is no log called no.such.function" in nothing.stdout


def test_logs_follow(platform: Clone) -> None:
    # Given
    correlation = "follow-test-4711"
    process = platform.popen("logs", "--name", "lake.list", "--lines", "1", "--follow")
    assert process.stdout
    try:
        seen = process.stdout.readline()
        # When
        platform.api.get("/v1/lake/datasets", X_Correlation_Id=correlation)
        while correlation not in seen:
            seen = process.stdout.readline()
        # Then
        assert seen.split("|")[0].strip() == "lake.list_datasets"
    finally:
        process.kill()
        process.communicate()


def test_saved_code_answers_the_next_request(platform: Clone) -> None:
    # Given
    handler = platform.folder / "functions" / "lake" / "get_dataset.py"
    path = "/v1/lake/datasets/reloaded"
    columns = [{"name": "id", "type": "text"}]
    platform.api.post("/v1/lake/datasets", {"name": "reloaded", "columns": columns})
    before = platform.api.get(path)
    source = handler.read_text()
    # When
    changed = source.replace('"ETag": found.dataset.etag', '"ETag": \'"changed"\'')
    assert changed != source
    handler.write_text(changed)
    seen = [platform.api.get(path).headers["etag"] for _ in range(1)]
    while seen[-1] != '"changed"':
        seen.append(platform.api.get(path).headers["etag"])
    handler.write_text(source)
    # Then
    assert before.headers["etag"] != '"changed"'
    assert len(seen) < 1000


def test_a_saved_mistake_is_told_and_mended_by_the_next_save(platform: Clone) -> None:
    # Given
    handler = platform.folder / "functions" / "lake" / "list_datasets.py"
    source = handler.read_text()
    # When
    handler.write_text(source + "\nthis is no Python\n")
    broken = _until(platform, lambda status: status == 500)
    handler.write_text(source)
    mended = _until(platform, lambda status: status == 200)
    # Then
    assert (broken, mended) == (500, 200)
    assert "SyntaxError" in (platform.paths.logs / "lake.list_datasets.log").read_text()


def _until(platform: Clone, wanted: Callable[[int], bool]) -> int:
    status = 0
    while not wanted(status):
        status = platform.api.get("/v1/lake/datasets").status
    return status
