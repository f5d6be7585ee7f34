"""GET /v1/nexus/routes/{route}."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user
from tests.support.routing import add_route, remove_route


@pytest.fixture
def operator(database: str) -> dict[str, Any]:
    """Return what makes a request one of an operator's."""
    return acting(add_user("root@example.com", roles=["admin"]))


def test_a_rule_is_returned_with_its_tag(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    add_route("a", timeout="ai")
    add_route("a", timeout="training")
    # When
    found = invoke("nexus.get_route", path={"route": "a"}, **operator)
    # Then
    assert (found.status, found.headers["etag"]) == (200, '"2"')
    assert found.json["rule"]["timeout"] == "training"


@pytest.mark.parametrize("name", ["never", "deleted"])
def test_what_is_not_there(invoke: Invoker, operator: dict[str, Any], name: str) -> None:
    # Given
    add_route("deleted")
    remove_route("deleted")
    # When
    found = invoke("nexus.get_route", path={"route": name}, **operator)
    # Then
    assert (found.status, found.fields) == (404, {"route": "not_found"})
