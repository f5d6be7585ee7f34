"""A clone of the project with its own platform, driven as a user does: by the launcher's commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from infrastructure.local.accounts import fetch_token
from infrastructure.local.paths import PROJECT, Paths, default_paths
from infrastructure.local.platform import Platform
from infrastructure.local.services import local_services
from infrastructure.local.services.service import Service
from infrastructure.local.state import State
from tests.e2e.processes import processes_of
from tests.e2e.web import Web

T = TypeVar("T")
PARTS = (
    *("template.yaml", "functions", "layers", "infrastructure", "examples"),
    *("Makefile", "README.md", "docs"),
)
STEERING = (
    *("DATABASE_URL", "REDIS_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "AWS_ENDPOINT_URL"),
    *("DOCKER", "DATAPUNK_POSTGIS", "DATAPUNK_STATE", "AWS_PROFILE", "PYTHONPATH"),
)
COMMAND_SECONDS = 100.0
WAIT_SECONDS = 30.0


class Clone:
    """A copy of the working tree with its state in `.datapunk`; programs are the project's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths(
            state=folder / ".datapunk", programs=default_paths().programs, project=folder
        )

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Copy the working tree to `folder`."""
        folder.mkdir()
        for part in PARTS:
            source = PROJECT / part
            if source.is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=skip)
            else:
                shutil.copy2(source, folder / part)
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who has set nothing, with the programs of the project."""
        own = {name: value for name, value in os.environ.items() if name not in STEERING}
        return {**own, "DATAPUNK_PROGRAMS": str(self.paths.programs), "PYTHONUNBUFFERED": "1"}

    def popen(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a launcher command in a process group of its own, as a shell does."""
        return subprocess.Popen(
            [sys.executable, "-m", "infrastructure.local", *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a launcher command to its end; output and errors come as one text."""
        process = self.popen(*arguments, **variables)
        try:
            output, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, output, "")

    def up(self, *, demo: bool = False, postgis: bool = False) -> str:
        """Run `up` and return what it prints; it must succeed."""
        wanted = {"DATAPUNK_POSTGIS": "1"} if postgis else {}
        done = self.run("up", *(() if demo else ("--no-demo",)), **wanted)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def close(self) -> None:
        """Stop the platform, and whatever of it is still there."""
        self.run("down")
        for pid in processes_of(self.folder):
            kill(pid)

    # -- what runs ---------------------------------------------------------------------------------

    @property
    def endpoints(self) -> dict[str, str]:
        """What `endpoints.json` names."""
        found: dict[str, str] = json.loads(self.paths.endpoints.read_text())
        return found

    @property
    def api(self) -> Web:
        """The public API, asked in the name of the demo user."""
        return Web(self.endpoints["api"], self.token)

    def token(self, user: str = "demo", scopes: str | None = None) -> str:
        """Return a new access token for one of the instance's users."""
        return fetch_token(self.endpoints["api"], State(self.paths), user, scopes)

    def port(self, name: str) -> int | None:
        """Return the port the instance has promised to a part."""
        return State(self.paths).port(name)

    def pids(self) -> dict[str, int]:
        """Return the process of each part that runs, by the part's name."""
        parts = Platform(self.paths, {}).status()
        return {part.name: part.pid for part in parts if part.pid is not None}

    def service(self, name: str) -> Service:
        """Return one of PostgreSQL, Redis and RabbitMQ, to be stopped and started alone."""
        services = local_services(self.paths, {})
        return next(service for service in services if service.name == name)

    def restart(self, name: str) -> None:
        """Start a stopped service, and nothing else."""
        service = self.service(name)
        service.start()
        service.wait_ready(60)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process unless it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def eventually(look: Callable[[], T], seconds: float = WAIT_SECONDS, *, pause: float = 0.1) -> T:
    """Return what `look` finds as soon as it finds anything; fails with what it saw last."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"not within {seconds:.0f} s; last seen: {found!r}"
        time.sleep(pause)
    return found
