"""A platform of its own for the tests that send whatever the API's document allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from tests.e2e.clone import Clone


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Return a running platform without data, which is stopped at the end."""
    require_programs(default_paths(), {})
    clone = Clone.make(Path(tmp_path_factory.mktemp("fuzzed")) / "datapunk")
    try:
        clone.up()
        yield clone
    finally:
        clone.close()
