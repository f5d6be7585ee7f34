"""Operators make sure that an OAuth client exists."""

from __future__ import annotations

import pytest
from datapunk.errors import InvalidInputError

from tests.support.invoking import Invoker
from tests.support.samples import load_sample


def test_the_launchers_client_comes_into_being_once(database: str, invoke: Invoker) -> None:
    # Given
    wanted = load_sample("nexus.ensure_client")
    # When
    first = invoke.event("nexus.ensure_client", wanted)
    second = invoke.event("nexus.ensure_client", {**wanted, "name": "Another"})
    # Then
    assert first == second
    assert (first["id"], first["public"]) == ("datapunk-cli", True)
    assert "secret" not in str(first)


def test_an_id_that_is_none_is_refused(database: str, invoke: Invoker) -> None:
    # Given
    wanted = {**load_sample("nexus.ensure_client"), "id": "../etc"}
    # When / Then
    with pytest.raises(InvalidInputError, match="id"):
        invoke.event("nexus.ensure_client", wanted)
