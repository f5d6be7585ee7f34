"""The life of an instance: first start, second start, hard ends, clean stop."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest

from infrastructure.local.ports import is_free
from infrastructure.local.processes import running_processes
from infrastructure.local.services.service import ServiceError, ServiceState
from infrastructure.local.state import read_json
from tests.integration.local.services.conftest import Instance

QUEUE = "kept"


def write_everywhere(instance: Instance, word: str) -> None:
    """Leave `word` in all three services, as durably as they promise."""
    with instance.database() as database:
        database.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        database.execute("INSERT INTO kept VALUES (%s)", (word,))
    with instance.cache() as cache:
        cache.set("kept", word)
    url = instance.service("rabbitmq").endpoints()["amqp"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(QUEUE, durable=True)
        connection.sleep(1)  # a quorum queue younger than that does not survive a hard end
        channel.basic_publish(
            "", QUEUE, word.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True
        )


def read_everywhere(instance: Instance) -> tuple[str, str, str]:
    with instance.database() as database:
        row = database.execute("SELECT word FROM kept").fetchone()
    with instance.cache() as cache:
        cached = cache.get("kept")
    url = instance.service("rabbitmq").endpoints()["amqp"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        method, _, body = channel.basic_get(QUEUE)
        channel.basic_reject(method.delivery_tag)
    return row[0] if row else "", str(cached), body.decode()


def test_a_stopped_instance_leaves_no_process_and_keeps_its_data(shared: Instance) -> None:
    # Given
    shared.up()
    write_everywhere(shared, "kept")
    endpoints = [service.endpoints() for service in shared.services]
    # When
    shared.down()
    # Then
    assert shared.leftovers() == []
    assert {service.status().state for service in shared.services} == {ServiceState.DOWN}
    assert all(is_free(port) for port in read_json(shared.state / "state.json")["ports"].values())
    # When
    shared.up()
    # Then
    assert [service.endpoints() for service in shared.services] == endpoints
    assert read_everywhere(shared) == ("kept", "kept", "kept")


def test_starting_what_runs_changes_nothing(shared: Instance) -> None:
    # Given
    shared.up()
    pids = [service.status().pid for service in shared.services]
    # When
    shared.up()
    # Then
    assert None not in pids
    assert [service.status().pid for service in shared.services] == pids


def test_hard_ended_services_come_back_with_their_data(shared: Instance) -> None:
    # Given
    shared.up()
    write_everywhere(shared, "kept")
    pids = {service.name: shared.pid(service.name) for service in shared.services}
    # When
    for name in pids:
        shared.end_hard(name)
    shared.up()
    # Then
    assert all(shared.pid(name) != pid for name, pid in pids.items())
    assert read_everywhere(shared) == ("kept", "kept", "kept")


def test_servers_that_die_just_after_they_were_found_running_are_started_again(
    shared: Instance,
) -> None:
    # Given: a start that has nothing to do
    shared.up()
    pids = {service.name: shared.pid(service.name) for service in shared.services}
    for service in shared.services:
        service.start()
    # When
    for service in shared.services:
        shared.end_hard(service.name)
    for service in shared.services:
        service.wait_ready(60)
    # Then
    assert all(shared.pid(name) != pid for name, pid in pids.items())


def test_a_server_that_dies_again_is_not_started_forever(shared: Instance) -> None:
    # Given: an append-only file that Redis refuses to load
    shared.up()
    service = shared.service("redis")
    service.stop()
    manifest = shared.paths.data / "redis" / "appendonlydir" / "appendonly.aof.manifest"
    kept = manifest.read_text()
    manifest.write_text("nonsense\n")
    try:
        # When
        service.start()
        # Then
        with pytest.raises(ServiceError, match=r"redis ended while starting; .*redis\.log"):
            service.wait_ready(30)
    finally:
        manifest.write_text(kept)
    assert service.status().state is ServiceState.DOWN


def test_the_port_mapper_of_a_hard_ended_node_is_replaced(shared: Instance) -> None:
    # Given
    shared.up()
    mapper = int((shared.paths.run / "epmd.pid").read_text())
    shared.end_hard("rabbitmq")
    # When
    shared.up()
    # Then
    mappers = [line for _, line in running_processes() if str(shared.paths.run) in line[0]]
    assert int((shared.paths.run / "epmd.pid").read_text()) != mapper
    assert len(mappers) == 1


def test_postgres_starts_beside_sessions_that_outlived_it(shared: Instance) -> None:
    # Given: a session that is busy and so does not notice that its server is gone
    shared.up()
    with contextlib.closing(shared.database()) as session:
        session.execute("SET statement_timeout = 0")
        busy = session.info.backend_pid
        session.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000) AS n")
        postgres = shared.service("postgres")
        # When
        shared.end_hard("postgres")
        postgres.start()
        postgres.wait_ready(30)
    # Then
    assert not any(pid == busy for pid, _ in running_processes())


def test_a_server_that_hangs_is_not_started_twice(shared: Instance) -> None:
    # Given
    shared.up()
    service = shared.service("redis")
    pid = shared.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        # When
        service.start()
        status = service.status()
        # Then
        assert status.state is ServiceState.STARTING
        assert status.pid == pid
    finally:
        os.kill(pid, signal.SIGCONT)
    service.wait_ready(10)


def test_two_instances_run_side_by_side(
    shared: Instance, make_instance: Callable[[str], Instance]
) -> None:
    # Given
    shared.up()
    other = make_instance("other clone")
    # When
    other.up()
    # Then
    ports = [read_json(each.state / "state.json")["ports"].values() for each in (shared, other)]
    assert not set(ports[0]) & set(ports[1])
    with shared.cache() as cache, other.cache() as other_cache:
        cache.set("mine", "1")
        assert other_cache.get("mine") is None
    # When
    other.down()
    # Then
    assert other.leftovers() == []
    assert all(service.ready() for service in shared.services)


def test_servers_of_others_are_used_and_left_alone(shared: Instance, tmp_path: Path) -> None:
    # Given
    shared.up()
    urls = {name: url for service in shared.services for name, url in service.endpoints().items()}
    variables = {
        "DATABASE_URL": urls["database"],
        "REDIS_URL": urls["redis"],
        "AMQP_URL": urls["amqp"],
        "AMQP_MANAGEMENT_URL": urls["amqp_management"],
    }
    guest = Instance(tmp_path / "guest", variables)
    # When
    guest.up()
    states = {service.status().state for service in guest.services}
    found = {name: url for service in guest.services for name, url in service.endpoints().items()}
    guest.down()
    # Then
    assert states == {ServiceState.READY}
    assert found == urls
    assert all(service.ready() for service in shared.services)
    assert not guest.state.exists()


@pytest.mark.parametrize("name", ["postgres", "redis", "rabbitmq"])
def test_nothing_listens_beyond_loopback_or_loads_libraries_of_the_machine(
    shared: Instance, name: str
) -> None:
    # Given
    shared.up()
    pid = shared.pid(name)
    sockets = set(_open_files(pid))
    # When
    listening = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if row.split()[3] == "0A" and f"socket:[{row.split()[9]}]" in sockets
    ]
    mapped = {line.split()[5] for line in _maps(pid) if ".so" in line and len(line.split()) == 6}
    # Then
    assert listening
    assert all(row[1].startswith("0100007F:") for row in listening)
    assert mapped
    assert all(library.startswith(str(shared.paths.prefix.resolve())) for library in mapped)


def _open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            yield str(link.readlink())


def _maps(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text().splitlines()
