"""Importing a handler needs nothing and does nothing: no environment, no network, no threads."""

from __future__ import annotations

import json
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
    "sqlglot",
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
import importlib, json, os, traceback

def probe(name):
    before = dict(os.environ)
    module = importlib.import_module(name)
    assert callable(module.handler)
    assert threading.active_count() == 1, threading.enumerate()
    assert dict(os.environ) == before
    loaded = [name for name in {forbidden!r} if name in sys.modules]
    assert not loaded, loaded

# What all of them have in common is imported once: each handler gets a copy of this process.
importlib.import_module("datapunk.http")
for operation, name in {modules!r}.items():
    sys.stdout.flush()
    if os.fork() == 0:
        said = ""
        try:
            probe(name)
        except BaseException:
            said = traceback.format_exc()
        print(json.dumps([operation, said]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def probed() -> dict[str, str]:
    """Return what went wrong with each operation's handler in an interpreter that has no environment."""
    program = PROBE.format(
        folders=[str(FUNCTIONS), str(PROJECT / "layers" / "common")],
        modules={operation: handler_module(operation) for operation in operations()},
        forbidden=NOT_AT_START,
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (answer.stderr, answer.returncode) == ("", 0)
    return dict(map(json.loads, answer.stdout.splitlines()))


@pytest.mark.parametrize("operation", operations())
def test_a_handler_imports_with_an_empty_environment(
    operation: str, probed: dict[str, str]
) -> None:
    # Given / When / Then
    assert probed[operation] == ""
