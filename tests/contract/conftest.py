"""A platform of its own for the tests that send whatever the API's document allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from tests.e2e.clone import Clone

UNLIMITED = """
INSERT INTO nexus.rate_limits (tenant, quota, window_seconds) VALUES ('*', 1000000, 60)
"""


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Return a running platform without data, which is stopped at the end."""
    require_programs(default_paths(), {})
    clone = Clone.make(Path(tmp_path_factory.mktemp("fuzzed")) / "datapunk")
    try:
        clone.up()
        # Before the first request: functions remember for a minute that there is no other limit.
        with psycopg.connect(clone.endpoints["database"]) as connection:
            connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
            connection.execute(UNLIMITED)
        yield clone
    finally:
        clone.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name each of schemathesis' tests after its operation, which pytest leaves out of the ids it makes.

    Processes that share tests know them by id: of several with one, only the first would run.
    """
    for item in items:
        label = getattr(item, "operation_label", None)
        if label is not None and not item.nodeid.endswith("]"):
            item._id = replace(item._id, params=label)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run tests that share an id."""
    names = [item.nodeid for item in session.items]
    assert len(names) == len(set(names)), "several tests have one id: only one of them would run"
