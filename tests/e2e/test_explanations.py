"""What the launcher says when something fails: never a traceback, always what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infrastructure.local.failures import EXPLAINED, explain
from infrastructure.local.parallel import SeveralFailedError, for_each
from infrastructure.local.services.service import ServiceError
from tests.e2e.clone import Clone

CLIENT_ERROR = ClientError(
    {"Error": {"Code": "InternalFailure", "Message": "boom"}}, "DescribeStacks"
)
NO_ANSWER = EndpointConnectionError(endpoint_url="http://127.0.0.1:4566")


@pytest.mark.parametrize("kind", EXPLAINED)
def test_what_is_foreseen_is_said_in_its_own_words(kind: type[Exception], tmp_path: Path) -> None:
    # When
    told = explain(kind("redis did not start; run `make down`"), tmp_path)
    # Then
    assert told == "redis did not start; run `make down`"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full: free some space"),
        (errno.EROFS, "read-only: set DATAPUNK_STATE"),
        (errno.EACCES, "Permission is missing"),
        (errno.ENOTDIR, "in the way of a folder"),
    ],
)
def test_the_disks_refusals_name_the_file_and_the_remedy(
    number: int, words: str, tmp_path: Path
) -> None:
    # When
    told = explain(OSError(number, os.strerror(number), "/some/file"), tmp_path)
    # Then
    assert "/some/file" in told
    assert words in told


@pytest.mark.parametrize("error", [CLIENT_ERROR, NO_ANSWER])
def test_the_control_planes_errors_lead_to_its_log(error: Exception, tmp_path: Path) -> None:
    # When
    told = explain(error, tmp_path)
    # Then
    assert "AWS control plane" in told
    assert "make logs NAME=aws" in told
    assert str(tmp_path / "launcher.log") in told


def test_the_unforeseen_is_kept_with_its_traceback(tmp_path: Path) -> None:
    # Given
    try:
        _ = {"something": 1}["nothing"]
    except KeyError as raised:
        error = raised
    # When
    told = explain(error, tmp_path / "logs")
    # Then
    log = tmp_path / "logs" / "launcher.log"
    assert told.startswith("Unforeseen: KeyError")
    assert str(log) in told
    assert "Traceback" not in told
    assert "Traceback" in log.read_text()


def test_all_that_failed_at_once_is_said() -> None:
    # Given
    def start(name: str) -> str:
        if name != "redis":
            raise ServiceError(f"{name} did not start")
        return name

    # When
    with pytest.raises(SeveralFailedError) as several:
        for_each(["postgres", "redis", "rabbitmq"], start)
    with pytest.raises(ServiceError) as one:
        for_each(["redis", "postgres"], start)
    # Then
    assert str(several.value) == "postgres did not start\n\nrabbitmq did not start"
    assert str(one.value) == "postgres did not start"
    assert for_each(["redis"], start) == ["redis"]


def test_a_server_that_cannot_start_is_told_with_its_own_words(vandal: Clone) -> None:
    # Given
    vandal.run("down")
    version = vandal.paths.data / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    # When
    try:
        done = vandal.run("up", "--no-demo")
    finally:
        version.write_text("17\n")
        vandal.up()
    # Then
    assert done.returncode == 1
    assert "✗ postgres" in done.stdout
    assert "postgres" in done.stdout.rpartition("✗ postgres")[2]
    assert "incompatible with server" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_template_that_cannot_be_deployed_is_told(vandal: Clone) -> None:
    # Given
    template = vandal.folder / "template.yaml"
    source = template.read_text()
    # When
    try:
        template.write_text(source.replace("AWS::Serverless::Function", "AWS::Serverless::Nothing"))
        done = vandal.run("up", "--no-demo")
        template.write_text(source + "\n  - [this is no YAML\n")
        unreadable = vandal.run("up", "--no-demo")
    finally:
        template.write_text(source)
    mended = vandal.up()
    # Then
    for failed in (done, unreadable):
        assert failed.returncode == 1
        assert "✗ stack" in failed.stdout
        assert "template.yaml" in failed.stdout
        assert "Traceback" not in failed.stdout
    assert "✓ stack" in mended
    assert vandal.api.get("/v1/nexus/health/ready").json()["status"] == "up"


def test_a_reader_that_leaves_early_is_no_error(vandal: Clone) -> None:
    # When
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m infrastructure.local logs --lines 1000 | head -1"],
        cwd=vandal.folder,
        env=vandal.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # Then
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
