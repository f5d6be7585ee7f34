"""What goes wrong on real machines: lies in pid files, taken ports, launchers that die or meet."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infrastructure.local.services.service import ServiceError
from infrastructure.local.state import State
from tests.integration.local.services.conftest import Instance

Launch = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def test_stale_pid_files_that_name_a_stranger_harm_nobody(
    shared: Instance, stranger: subprocess.Popen[bytes]
) -> None:
    # Given
    shared.up()
    shared.down()
    for name in ("postgres", "redis", "rabbitmq", "epmd"):
        (shared.paths.run / f"{name}.pid").write_text(f"{stranger.pid}\n")
    lock = shared.paths.data / "postgres" / "postmaster.pid"
    lock.write_text(f"{stranger.pid}\n{lock.parent}\n1\n1\n\n127.0.0.1\n\n")
    os.chown(lock, lock.parent.stat().st_uid, lock.parent.stat().st_gid)
    # When
    shared.down()
    shared.up()
    # Then
    assert stranger.poll() is None
    assert stranger.pid not in {service.status().pid for service in shared.services}
    assert all(service.ready() for service in shared.services)


def test_ports_that_strangers_took_are_chosen_anew(shared: Instance) -> None:
    # Given
    shared.up()
    shared.down()
    state = State(shared.paths)
    names = ("postgres", "redis", "amqp", "amqp_management", "epmd", "erlang_distribution")
    ports = {name: state.port(name) for name in names}
    strangers = [socket.create_server(("127.0.0.1", port or 0)) for port in ports.values()]
    try:
        # When
        shared.up()
        # Then
        assert all(service.ready() for service in shared.services)
        assert all(state.port(name) != port for name, port in ports.items())
    finally:
        for server in strangers:
            server.close()


def test_a_lost_state_file_is_named_as_the_reason(shared: Instance) -> None:
    # Given
    shared.up()
    service = shared.service("postgres")
    service.stop()
    file = shared.state / "state.json"
    kept = file.read_text()
    try:
        file.unlink()
        # When
        service.start()
        # Then
        with pytest.raises(ServiceError, match=r"does not accept the password in state\.json"):
            service.wait_ready(30)
    finally:
        service.stop()
        file.write_text(kept)


def test_two_launchers_at_once_start_one_instance(
    launch: Launch, make_instance: Callable[[str], Instance]
) -> None:
    # Given
    instance = make_instance("contended")
    # When
    launchers = [launch("up", instance.state) for _ in range(2)]
    said = [launcher.communicate(timeout=90)[0] for launcher in launchers]
    # Then
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    assert sum("another launcher is at work" in text for text in said) == 1
    assert all(service.ready() for service in instance.services)
    nodes = [line for line in instance.leftovers() if "beam.smp" in line.split()[0]]
    assert len(nodes) == 1


def test_a_launcher_that_is_killed_anywhere_leaves_what_the_next_one_can_use(
    launch: Launch, make_instance: Callable[[str], Instance]
) -> None:
    # Given: a first start that dies at several moments, each time later
    instance = make_instance("interrupted")
    for moment in (0.4, 0.6, 0.9, 1.5):
        launcher = launch("up", instance.state)
        time.sleep(moment)
        launcher.kill()
        launcher.communicate()
    # When
    last = launch("up", instance.state)
    said, _ = last.communicate(timeout=90)
    # Then
    assert last.returncode == 0, said
    assert all(service.ready() for service in instance.services)
    # When
    instance.down()
    # Then
    assert instance.leftovers() == []
    assert sorted(path.name for path in (instance.state / "data").iterdir()) == [
        "postgres",
        "rabbitmq",
        "redis",
    ]


def test_a_node_that_died_in_its_first_boot_is_made_anew(
    make_instance: Callable[[str], Instance],
) -> None:
    # Given: a node that has its database and not yet its user, for nobody has seen it ready
    instance = make_instance("unborn")
    service = instance.service("rabbitmq")
    service.start()
    node = instance.paths.data / "rabbitmq" / "node"
    give_up = time.monotonic() + 30
    while not list(node.glob("*/coordination")) and time.monotonic() < give_up:
        time.sleep(0.02)
    instance.end_hard("rabbitmq")
    # When
    service.start()
    service.wait_ready(60)
    # Then
    assert service.ready()
