"""Data planes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.paths import Paths, default_paths
from infrastructure.local.services.rabbitmq import RabbitMQ
from tests.integration.local.data_plane.plane import Plane


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Return the data plane of all tests that leave it as it was."""
    shared = Plane(
        tmp_path_factory.mktemp("plane"),
        limits={"queue_seconds": 1.0, "retry_delays": [0.05, 0.1]},
    )
    try:
        yield shared.start()
    finally:
        shared.stop()


@pytest.fixture
def new_plane(tmp_path: Path) -> Iterator[Callable[..., Plane]]:
    """Make data planes of one's own; they are stopped at the end."""
    made: list[Plane] = []

    def make(**settings: Any) -> Plane:
        made.append(Plane(tmp_path / f"plane{len(made)}", **settings))
        return made[-1]

    yield make
    for plane in made:
        plane.stop()


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Return a private RabbitMQ for the tests of its event source."""
    paths = Paths(state=tmp_path_factory.mktemp("broker"), programs=default_paths().programs)
    paths.create()
    node = RabbitMQ(paths, {})
    try:
        node.start()
        node.wait_ready(90)
        yield node
    finally:
        node.stop()
