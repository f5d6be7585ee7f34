"""Processes: started detached, recognised by more than a pid, stopped for sure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infrastructure.local.processes import Process, command_line, read_pid

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    made: list[Process] = []

    def process(code: str) -> Process:
        mark = str(tmp_path / "instance")
        described = Process(
            name="sleeper",
            argv=(sys.executable, "-c", code, mark),
            cwd=tmp_path,
            log=tmp_path / "log",
            pid_file=tmp_path / "pid",
            mark=mark,
            program=Path(sys.executable).name,
        )
        made.append(described)
        return described

    yield process
    for process_ in made:
        process_.stop(0.0)


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_process_runs_in_a_session_of_its_own_until_it_is_stopped(
    make: Callable[[str], Process],
) -> None:
    # Given
    process = make(SLEEP)
    # When
    pid = process.start()
    # Then
    assert process.alive() == pid == read_pid(process.pid_file)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert process.start() == pid
    # When
    process.stop()
    # Then
    assert process.alive() is None
    assert not process.pid_file.exists()


def test_a_pid_file_that_names_a_foreign_process_is_neither_believed_nor_killed(
    make: Callable[[str], Process],
) -> None:
    # Given
    process = make(SLEEP)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        process.pid_file.write_text(f"{stranger.pid}\n")
        # When, Then
        assert process.alive() is None
        process.stop()
        assert stranger.poll() is None
        # When
        process.pid_file.write_text(f"{stranger.pid}\n")
        pid = process.start()
        # Then
        assert process.alive() == pid != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_is_not_alive(make: Callable[[str], Process]) -> None:
    # Given
    process = make(SLEEP)
    pid = process.start()
    # When
    os.kill(pid, signal.SIGKILL)
    # Then
    wait_for(lambda: process.alive() is None)
    assert command_line(pid) == ()
    assert process.start() != pid


def test_a_server_is_found_without_its_pid_file(make: Callable[[str], Process]) -> None:
    # Given
    process = make(SLEEP)
    pid = process.start()
    wait_for(lambda: command_line(pid)[0] == sys.executable)
    process.pid_file.unlink()
    # When, Then
    assert process.alive() == pid
    assert process.start() == pid


@pytest.mark.parametrize("stopped", [False, True])
def test_what_ignores_the_request_to_end_is_ended(
    make: Callable[[str], Process], *, stopped: bool
) -> None:
    # Given
    process = make(STUBBORN)
    pid = process.start()
    wait_for(lambda: "ready" in process.last_words())
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    # When
    process.stop(grace_seconds=0.2)
    # Then
    assert process.alive() is None
    assert command_line(pid) == ()


@pytest.mark.parametrize("content", ["", "no number", "-5", "1", "0"])
def test_a_useless_pid_file_counts_as_none(tmp_path: Path, content: str) -> None:
    # Given
    file = tmp_path / "pid"
    file.write_text(content)
    # When, Then
    assert read_pid(file) is None
    assert read_pid(tmp_path / "absent") is None


def test_the_log_keeps_what_a_failed_server_said(make: Callable[[str], Process]) -> None:
    # Given
    process = make("raise SystemExit('no luck')")
    # When
    process.start()
    wait_for(lambda: process.alive() is None)
    # Then
    assert process.last_words() == "no luck"
