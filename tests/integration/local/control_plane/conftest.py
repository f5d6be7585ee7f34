"""A control plane per test, or one for all tests of a module that only look at the deployed template."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infrastructure.local.catalog import Catalog
from infrastructure.local.control_plane.ministack import MiniStack
from infrastructure.local.control_plane.reading import read_catalog
from infrastructure.local.control_plane.stack import StackOutputs, deploy
from infrastructure.local.control_plane.translation import local_parameters
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.state import State

STACK = "datapunk-test"
READY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Plane:
    """A running emulator of one instance, and the template to deploy there."""

    paths: Paths
    service: MiniStack

    @property
    def endpoint(self) -> str:
        """Where the API answers."""
        return self.service.endpoints()["aws"]

    @property
    def template(self) -> Path:
        """Where the translated template goes."""
        return self.paths.run / "template.json"

    def deploy(self, project: Path = PROJECT, **changed: str) -> StackOutputs:
        """Deploy the project's template with the local parameters, some of them changed."""
        parameters = local_parameters(
            database_url="postgresql://someone@127.0.0.1/datapunk",
            redis_url="redis://127.0.0.1:6379",
            amqp_url="amqp://127.0.0.1:5672",
            issuer="http://localhost:8080",
            key_ring=self.paths.key_ring,
            flags=self.paths.flags,
        )
        kept = self.paths.translations
        if project != PROJECT:
            parameters, kept = {}, self.paths.state / "translations"
        return deploy(self.endpoint, STACK, self.template, parameters | changed, project, kept)

    def catalog(self, project: Path = PROJECT) -> Catalog:
        """Read what is deployed."""
        return read_catalog(self.endpoint, STACK, self.template, project)

    def kill(self) -> None:
        """End the emulator as a crash does, and start it again."""
        pid = self.service.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        give_up = time.monotonic() + READY_SECONDS
        while self.service.status().pid is not None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        self.restart()

    def restart(self) -> None:
        """Start the emulator again and wait for it."""
        self.service.start()
        self.service.wait_ready(READY_SECONDS)


@contextmanager
def running_plane(folder: Path) -> Iterator[Plane]:
    paths = Paths(state=folder, programs=PROJECT / ".datapunk")
    paths.create()
    service = MiniStack(paths, State(paths))
    service.start()
    try:
        service.wait_ready(READY_SECONDS)
        yield Plane(paths, service)
    finally:
        service.stop()


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with running_plane(tmp_path / "state") as running:
        yield running


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("deployed")) as running:
        running.deploy()
        yield running


@pytest.fixture(autouse=True)
def no_own_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever account the developer works with must not matter."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
