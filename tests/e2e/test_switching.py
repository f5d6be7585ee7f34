"""A feature is switched while the platform runs: no deployment, no restart."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clone import Clone, eventually
from tests.e2e.web import Web
from tests.support.rules import OFF, ON, boolean, rule, write


@pytest.fixture
def flags(platform: Clone) -> Iterator[Path]:
    """Return the platform's file of rules, which sets nothing before and after."""
    path = platform.paths.flags
    assert path.read_text() == "{}\n"
    yield path
    write(path, "{}\n")


def _dataset(api: Web) -> str:
    name = f"switch_{uuid.uuid4().hex[:8]}"
    definition = {"name": name, "columns": [{"name": "id", "type": "integer"}]}
    assert api.post("/v1/lake/datasets", definition).status == 201
    return f"/v1/lake/datasets/{name}/records"


def test_inserts_into_one_dataset_stop_and_go_on(platform: Clone, api: Web, flags: Path) -> None:
    # Given
    paused, other = _dataset(api), _dataset(api)
    name = paused.split("/")[4]
    before, row = platform.pids(), [{"id": 1}]
    assert api.post(paused, row).status == 201
    # When
    write(flags, {"lake.ingest": boolean(ON, one=rule(OFF, ("dataset", "EQUALS", name)))})
    # Then
    eventually(lambda: api.post(paused, row).status == 503)
    assert api.post(paused, row).json()["code"] == "paused"
    assert api.post(other, row).status == 201
    assert api.get(paused).status == 200
    write(flags, "{}\n")
    eventually(lambda: api.post(paused, row).status == 201)
    assert platform.pids() == before
