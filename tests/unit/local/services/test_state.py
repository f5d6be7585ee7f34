"""What an instance remembers, and the lock that keeps launchers apart."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from infrastructure.local.paths import Paths
from infrastructure.local.state import (
    BusyError,
    State,
    file_lock,
    launcher_lock,
    read_json,
    write_json,
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", programs=tmp_path)


def test_ports_and_passwords_are_the_same_next_time(paths: Paths) -> None:
    # Given
    state = State(paths)
    port, password = state.claim_port("redis"), state.password("redis")
    state.decide("account", "nobody")
    # When
    later = State(paths)
    # Then
    assert later.claim_port("redis") == later.port("redis") == port
    assert later.password("redis") == password
    assert later.password("postgres") != password
    assert later.decision("account") == "nobody"
    assert later.decision("other") is None


def test_a_port_that_somebody_took_is_chosen_anew(paths: Paths) -> None:
    # Given
    port = State(paths).claim_port("redis")
    # When
    with socket.create_server(("127.0.0.1", port)):
        chosen = State(paths).claim_port("redis")
    # Then
    assert chosen != port
    assert State(paths).port("redis") == chosen


def test_ports_of_one_instance_differ_even_when_claimed_at_once(paths: Paths) -> None:
    # Given
    state = State(paths)
    names = [f"service{number}" for number in range(8)]
    # When
    threads = [threading.Thread(target=state.claim_port, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then
    assert len({state.port(name) for name in names}) == len(names)


def test_the_state_file_is_private_and_survives_damage(paths: Paths) -> None:
    # Given
    state = State(paths)
    state.password("redis")
    file = paths.state / "state.json"
    # When, Then
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in paths.state.iterdir()] == ["state.json"]
    file.write_text('{"passwords": {"red', encoding="utf-8")
    assert state.password("redis") == json.loads(file.read_text())["passwords"]["redis"]


def test_json_files_are_replaced_whole(tmp_path: Path) -> None:
    # Given
    file = tmp_path / "folder" / "file.json"
    write_json(file, {"a": 1})
    with file.open(encoding="utf-8") as reader:
        # When
        write_json(file, {"b": 2})
        # Then
        assert json.load(reader) == {"a": 1}
    assert read_json(file) == {"b": 2}
    assert read_json(tmp_path / "absent.json") == {}


def test_a_second_launcher_waits_and_says_so(paths: Paths) -> None:
    # Given
    said: list[str] = []
    order: list[str] = []
    waiting, holding = threading.Event(), threading.Event()

    def second() -> None:
        def say(text: str) -> None:
            said.append(text)
            waiting.set()

        holding.wait()
        with launcher_lock(paths, say=say):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    # When
    with launcher_lock(paths):
        holding.set()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    # Then
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "another launcher" in said[0]


def test_waiting_ends_with_an_error_that_names_the_lock(tmp_path: Path) -> None:
    # Given
    lock = tmp_path / "lock"
    # When, Then
    with (
        file_lock(lock, timeout=1),
        pytest.raises(BusyError, match=str(lock)),
        file_lock(lock, timeout=0.2),
    ):
        pass
