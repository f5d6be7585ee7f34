"""Ctrl-C and crashes of the launcher in the middle: the next `up` goes on from there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from infrastructure.local.data_plane_service import PREFERRED_PORT
from infrastructure.local.ports import is_free
from tests.e2e.clone import COMMAND_SECONDS, Clone, eventually
from tests.e2e.processes import processes_of

Moment = Callable[[Clone], bool]


def launched(clone: Clone) -> bool:
    """Tell whether the launcher has begun."""
    return (clone.paths.state / "launcher.lock").exists()


def creating_the_database(clone: Clone) -> bool:
    """Tell whether the database's files are being made."""
    return any(clone.paths.data.glob("postgres*/*"))


def broker_starting(clone: Clone) -> bool:
    """Tell whether the broker's process has been started."""
    return (clone.paths.run / "rabbitmq.pid").exists()


def deploying(clone: Clone) -> bool:
    """Tell whether the stack is being deployed."""
    return (clone.paths.run / "template.json").exists()


def gateway_starting(clone: Clone) -> bool:
    """Tell whether the data plane has been started."""
    return (clone.paths.run / "data-plane.pid").exists()


MOMENTS: list[tuple[Moment, signal.Signals]] = [
    (launched, signal.SIGINT),
    (creating_the_database, signal.SIGINT),
    (broker_starting, signal.SIGKILL),
    (deploying, signal.SIGINT),
    (gateway_starting, signal.SIGKILL),
]


def end_at(
    launcher: subprocess.Popen[str], clone: Clone, moment: Moment, number: signal.Signals
) -> str:
    """Signal the launcher's process group, as a terminal does, once the moment has come."""
    eventually(lambda: moment(clone) or launcher.poll() is not None, pause=0.002)
    assert launcher.poll() is None, launcher.communicate()[0]
    os.killpg(launcher.pid, number)
    output, _ = launcher.communicate(timeout=COMMAND_SECONDS)
    return output


@pytest.mark.timeout(240)
def test_a_first_up_ended_at_every_stage(new_clone: Callable[[], Clone]) -> None:
    # Given
    clone = new_clone()
    usual = socket.create_server(("127.0.0.1", PREFERRED_PORT)) if is_free(PREFERRED_PORT) else None
    # When
    try:
        for moment, number in MOMENTS:
            launcher = clone.popen("up", "--no-demo")
            output = end_at(launcher, clone, moment, number)
            # Then
            if number is signal.SIGINT:
                assert launcher.returncode == 130, (moment.__name__, output)
                assert "Stopped. What has been started goes on" in output
            assert "Traceback" not in output, moment.__name__
        output = clone.up()
    finally:
        if usual is not None:
            usual.close()
    # Then
    assert (urlsplit(clone.endpoints["api"]).port or 0) > PREFERRED_PORT
    assert f"Port {PREFERRED_PORT} was taken by another program" in output
    assert clone.api.get("/v1/nexus/health/ready").json()["status"] == "up"
    assert clone.run("down").returncode == 0
    assert processes_of(clone.folder) == {}


def test_a_down_that_is_ended_midway(vandal: Clone) -> None:
    # Given
    rows = vandal.api.get("/v1/lake/datasets/kept/records").json()
    # When
    launcher = vandal.popen("down")
    output = end_at(
        launcher,
        vandal,
        lambda clone: not (clone.paths.run / "data-plane.pid").exists(),
        signal.SIGINT,
    )
    vandal.up()
    # Then
    assert launcher.returncode == 130, output
    assert len(vandal.pids()) == 5
    assert vandal.api.get("/v1/lake/datasets/kept/records").json() == rows


def test_two_interrupts_are_no_worse_than_one(vandal: Clone) -> None:
    # Given
    vandal.run("down")
    launcher = vandal.popen("up", "--no-demo")
    # When
    eventually(lambda: broker_starting(vandal), pause=0.002)
    os.killpg(launcher.pid, signal.SIGINT)
    os.killpg(launcher.pid, signal.SIGINT)
    output, _ = launcher.communicate(timeout=COMMAND_SECONDS)
    vandal.up()
    # Then
    assert launcher.returncode != 0, output
    assert vandal.api.get("/v1/nexus/health/ready").json()["status"] == "up"


def test_the_apis_port_is_lost_while_it_is_deployed(new_clone: Callable[[], Clone]) -> None:
    # Given a deployment that names the address of the API in its tokens
    clone = new_clone()
    launcher = clone.popen("up", "--no-demo")
    eventually(lambda: deploying(clone) or launcher.poll() is not None, pause=0.002)
    promised = clone.port("api")
    assert promised
    # When
    with socket.create_server(("127.0.0.1", promised)):
        output, _ = launcher.communicate(timeout=COMMAND_SECONDS)
    # Then
    assert launcher.returncode == 0, output
    assert clone.port("api") != promised
    assert clone.api.get("/v1/nexus/sessions").status == 200
