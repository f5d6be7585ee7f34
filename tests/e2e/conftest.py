"""Clones of the project with platforms of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from tests.e2e.clone import Clone
from tests.e2e.web import Web

RAISE_LIMIT = """
INSERT INTO nexus.rate_limits (tenant, quota, window_seconds) VALUES ('public', 100000, 60)
"""


@pytest.fixture(scope="package")
def programs() -> Path:
    """Return the folder of the server programs, which `make test` installs once for all clones."""
    paths = default_paths()
    require_programs(paths, {})
    return paths.programs


@pytest.fixture(scope="package")
def new_clone(
    tmp_path_factory: pytest.TempPathFactory, programs: Path
) -> Iterator[Callable[[], Clone]]:
    """Make clones; each ends with the folder."""
    made: list[Clone] = []

    def make() -> Clone:
        made.append(Clone.make(tmp_path_factory.mktemp("clone") / "datapunk"))
        return made[-1]

    yield make
    for clone in made:
        clone.close()


@pytest.fixture(scope="package")
def platform(new_clone: Callable[[], Clone]) -> Clone:
    """Return the platform of all tests that leave it running as it was; its database has PostGIS."""
    clone = new_clone()
    clone.up(postgis=True)
    raise_limit(clone)
    return clone


def raise_limit(clone: Clone) -> None:
    """Let a client send more than 1,000 requests a minute, as an operator does by a row.

    All tests of a platform are one client, and some ask again until they see a change.
    """
    with psycopg.connect(clone.endpoints["database"]) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        connection.execute(RAISE_LIMIT)


@pytest.fixture(scope="package")
def api(platform: Clone) -> Web:
    """Return its public API."""
    return platform.api


@pytest.fixture(scope="package")
def vandal(new_clone: Callable[[], Clone]) -> Clone:
    """Return the platform of all tests that stop, kill and starve it; each leaves it running.

    Its dataset `kept` has one row, which must survive everything.
    """
    clone = new_clone()
    clone.up()
    raise_limit(clone)
    columns = [{"name": "id", "type": "text"}]
    definition = {"name": "kept", "columns": columns, "key": ["id"]}
    assert clone.api.post("/v1/lake/datasets", definition).status == 201
    assert clone.api.post("/v1/lake/datasets/kept/records", [{"id": "first"}]).status == 201
    return clone
