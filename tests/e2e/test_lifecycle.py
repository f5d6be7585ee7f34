"""Up, down and up again; two clones side by side; ports and pid files that are somebody else's."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infrastructure.local.ports import FIRST_PORT
from tests.e2e.clone import COMMAND_SECONDS, Clone
from tests.e2e.processes import processes_of

DATASETS = "/v1/lake/datasets"
FIRST = [{"id": "first"}]
PARTS = {"postgres", "redis", "rabbitmq", "aws", "api"}


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Start a live process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def kept(vandal: Clone) -> list[dict[str, str]]:
    """Return the rows that must always be there."""
    rows: list[dict[str, str]] = vandal.api.get(f"{DATASETS}/kept/records?id=eq.first").json()[
        "items"
    ]
    return rows


def test_a_second_up_finds_what_runs(vandal: Clone) -> None:
    # Given
    before, endpoints = vandal.pids(), vandal.endpoints
    # When
    output = vandal.up()
    # Then
    assert set(before) == PARTS
    assert vandal.pids() == before
    assert vandal.endpoints == endpoints
    assert "unchanged" in output
    assert kept(vandal) == FIRST


def test_down_leaves_no_process_and_up_finds_the_data(vandal: Clone) -> None:
    # Given
    endpoints = vandal.endpoints
    # When
    stopped = vandal.run("down")
    left = processes_of(vandal.folder)
    status = vandal.run("status")
    named = vandal.paths.endpoints.exists()
    again = vandal.run("down")
    vandal.up()
    # Then
    assert (stopped.returncode, again.returncode) == (0, 0)
    assert left == {}
    assert not named
    assert status.returncode == 1
    assert status.stdout.count("down") == len(PARTS)
    # Ports that every platform prefers may have been another's for a moment; others are its own
    moved = [url for name, url in endpoints.items() if vandal.endpoints[name] != url]
    assert [url for url in moved if (urlsplit(url).port or 0) >= FIRST_PORT] == []
    assert kept(vandal) == FIRST


def test_two_launchers_at_once(vandal: Clone) -> None:
    # Given
    before = vandal.pids()
    # When
    launchers = [vandal.popen("up", "--no-demo") for _ in range(2)]
    outputs = [launcher.communicate(timeout=COMMAND_SECONDS)[0] for launcher in launchers]
    # Then
    assert [launcher.returncode for launcher in launchers] == [0, 0], outputs
    assert sum("another launcher is at work here" in output for output in outputs) == 1
    assert vandal.pids() == before


def test_commands_that_need_a_platform_say_that_it_does_not_run(
    new_clone: Callable[[], Clone],
) -> None:
    # Given
    clone = new_clone()
    # When
    demo, status, logs = clone.run("demo"), clone.run("status"), clone.run("logs")
    # Then
    assert (demo.returncode, status.returncode, logs.returncode) == (1, 1, 1)
    assert "start it with `make up`" in demo.stdout
    assert "Logs: none yet" in logs.stdout
    assert "Traceback" not in demo.stdout + status.stdout + logs.stdout


def test_two_clones_side_by_side(vandal: Clone, platform: Clone) -> None:
    # When
    ours, theirs = vandal.endpoints, platform.endpoints
    # Then
    assert not set(ours.values()) & set(theirs.values())
    assert not set(vandal.pids().values()) & set(platform.pids().values())
    assert kept(vandal) == FIRST
    assert platform.api.get(f"{DATASETS}/kept").status == 404


def test_stale_pid_files_that_name_a_stranger(
    vandal: Clone, stranger: subprocess.Popen[bytes]
) -> None:
    # Given
    before = vandal.pids()
    for file in vandal.paths.run.glob("*.pid"):
        file.write_text(f"{stranger.pid}\n")
    # When
    vandal.up()
    # Then
    assert stranger.poll() is None
    assert vandal.pids() == before
    assert kept(vandal) == FIRST


def test_pid_files_of_strangers_when_nothing_runs(
    vandal: Clone, stranger: subprocess.Popen[bytes]
) -> None:
    # Given
    files = list(vandal.paths.run.glob("*.pid"))
    vandal.run("down")
    for file in files:
        file.write_text(f"{stranger.pid}\n")
    # When
    down = vandal.run("down")
    left = processes_of(vandal.folder)
    for file in files:
        file.write_text(f"{stranger.pid}\n")
    vandal.up()
    # Then
    assert down.returncode == 0
    assert left == {}
    assert stranger.poll() is None
    assert set(vandal.pids()) == PARTS
    assert kept(vandal) == FIRST


def test_ports_that_others_took_meanwhile(vandal: Clone) -> None:
    # Given
    before = vandal.endpoints
    vandal.run("down")
    taken = {name: urlsplit(url).port or 0 for name, url in before.items()}
    listeners = [socket.create_server(("127.0.0.1", port)) for port in set(taken.values())]
    # When
    try:
        output = vandal.up()
    finally:
        for listener in listeners:
            listener.close()
    # Then
    now = {name: urlsplit(url).port or 0 for name, url in vandal.endpoints.items()}
    assert not set(now.values()) & set(taken.values())
    assert "was taken by another program, so the API has the port above" in output
    assert kept(vandal) == FIRST


def test_a_clone_that_was_moved_has_its_data(
    vandal: Clone, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given
    vandal.run("down")
    old, new = vandal.folder, tmp_path_factory.mktemp("moved") / "datapunk"
    shutil.move(old, new)
    moved = Clone(new)
    # When
    try:
        moved.up()
        rows = kept(moved)
    finally:
        moved.close()
        shutil.move(new, old)
    vandal.up()
    # Then
    assert rows == FIRST
    assert kept(vandal) == FIRST


def test_damaged_state_files(vandal: Clone) -> None:
    # Given
    before = vandal.pids()
    vandal.paths.endpoints.write_text("{")
    (vandal.paths.run / "data-plane.json").unlink()
    # When
    vandal.up()
    # Then
    assert set(vandal.pids()) == set(before)
    assert kept(vandal) == FIRST


def test_a_state_folder_that_cannot_be_is_explained(
    new_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    # Given
    clone = new_clone()
    file = tmp_path / "file"
    file.write_text("")
    # When
    done = clone.run("up", DATAPUNK_STATE=str(file / "state"))
    # Then
    assert done.returncode == 1
    assert "A file is in the way of a folder" in done.stdout
    assert "Traceback" not in done.stdout
