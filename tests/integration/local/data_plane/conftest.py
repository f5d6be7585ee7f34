"""Data planes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.data_plane.plane import Plane


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The data plane that tests share which leave it as it was."""
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
