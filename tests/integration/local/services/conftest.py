"""Throw-away instances of the services. The programs are the project's own, installed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis

from infrastructure.local.paths import PROJECT, Paths, default_paths
from infrastructure.local.processes import command_line, running_processes
from infrastructure.local.progress import Progress
from infrastructure.local.services import local_services, start_services, stop_services
from infrastructure.local.services.programs import Programs, require_programs
from infrastructure.local.services.service import Service, ServiceState

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass
class Instance:
    """The three services in a folder of their own."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        return Paths(state=self.state, programs=default_paths().programs)

    @property
    def services(self) -> list[Service]:
        return local_services(self.paths, self.environment)

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def up(self) -> None:
        with Progress() as progress:
            start_services(self.services, progress)

    def down(self) -> None:
        with Progress() as progress:
            stop_services(self.services, progress)

    def pid(self, name: str) -> int:
        status = self.service(name).status()
        assert status.state is ServiceState.READY
        assert status.pid is not None
        return status.pid

    def end_hard(self, name: str) -> None:
        """End a server as a crash would, and wait until it is gone; it may still be starting."""
        pid = self.service(name).status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        give_up = time.monotonic() + 10
        while command_line(pid):
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def database(self) -> psycopg.Connection:
        url = self.service("postgres").endpoints()["database"]
        return psycopg.connect(url, autocommit=True)

    def cache(self) -> redis.Redis:
        url = self.service("redis").endpoints()["redis"]
        return redis.Redis.from_url(url, decode_responses=True)

    def leftovers(self) -> list[str]:
        """Return the command lines of processes that still belong to this instance."""
        place = str(self.state)
        return [
            " ".join(line)
            for pid, line in running_processes()
            if pid != os.getpid() and any(place in argument for argument in line)
        ]


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Return the server programs, which `make test` installs before: tests download nothing."""
    return require_programs(default_paths(), {})


@pytest.fixture(scope="module")
def shared(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Return an instance that the tests of a module share; each brings it up itself."""
    instance = Instance(tmp_path_factory.mktemp("shared instance"))
    try:
        yield instance
    finally:
        instance.down()


@pytest.fixture
def make_instance(programs: Programs, tmp_path: Path) -> Iterator[Callable[[str], Instance]]:
    """Return instances of one's own by name; they are stopped at the end."""
    made: list[Instance] = []

    def make(name: str) -> Instance:
        made.append(Instance(tmp_path / name))
        return made[-1]

    try:
        yield make
    finally:
        for instance in made:
            instance.down()


@pytest.fixture
def launch(programs: Programs) -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Run launchers as processes of their own: command and state folder."""
    started: list[subprocess.Popen[str]] = []

    def run(command: str, state: Path) -> subprocess.Popen[str]:
        launcher = subprocess.Popen(
            [sys.executable, str(LAUNCHER), command, str(state)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(launcher)
        return launcher

    try:
        yield run
    finally:
        for launcher in started:
            with launcher:
                launcher.kill()
