"""What tests of the mesh share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from datapunk.mesh import breaker


@pytest.fixture(autouse=True)
def fresh(environment: None) -> Iterator[None]:
    breaker.forget()
    yield
    breaker.forget()


@pytest.fixture
def target() -> str:
    """Return a target that nobody has called."""
    return f"lake/{uuid.uuid4().hex[:8]}"
