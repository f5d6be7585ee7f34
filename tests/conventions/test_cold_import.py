"""Importing a handler needs nothing and does nothing: no environment, no network, no threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.samples import FUNCTIONS, PROJECT, handler_module, operations

NOT_AT_START = (
    "boto3",
    "botocore.session",
    "redis",
    "aws_xray_sdk",
    "pyarrow",
    "fastavro",
    "moto",
    "pytest",
    "infrastructure",
)
PROBE = """
import socket, sys, threading

def refuse(*_, **__):
    raise AssertionError("a socket is opened at import")

class Refused(socket.socket):
    __init__ = refuse

socket.socket = Refused
socket.create_connection = refuse
socket.getaddrinfo = refuse
sys.path[:0] = {folders!r}
import importlib

import os
before = dict(os.environ)
module = importlib.import_module({operation!r})
assert callable(module.handler)
assert threading.active_count() == 1, threading.enumerate()
assert dict(os.environ) == before
loaded = [name for name in {forbidden!r} if name in sys.modules]
assert not loaded, loaded
print("imported", end="")
"""


@pytest.mark.parametrize("operation", operations())
def test_a_handler_imports_with_an_empty_environment(operation: str) -> None:
    # Given a fresh interpreter that has no environment and may open no socket
    folders = [str(FUNCTIONS), str(PROJECT / "layers" / "common")]
    program = PROBE.format(
        folders=folders, operation=handler_module(operation), forbidden=NOT_AT_START
    )
    # When
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Then
    assert (answer.stdout, answer.stderr, answer.returncode) == ("imported", "", 0)
