"""GET /v1/nexus/routes/{route}/versions."""

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


def test_versions_are_listed_newest_first(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    add_route("a", timeout="ai")
    add_route("a", timeout="training")
    remove_route("a")
    # When
    path = {"route": "a"}
    first = invoke("nexus.list_route_versions", path=path, query={"limit": "2"}, **operator)
    query = {"limit": "2", "cursor": first.json["next_cursor"]}
    second = invoke("nexus.list_route_versions", path=path, query=query, **operator)
    # Then
    items = [*first.json["items"], *second.json["items"]]
    assert [item["version"] for item in items] == [3, 2, 1]
    assert [item["rule"] and item["rule"]["timeout"] for item in items] == [None, "training", "ai"]


def test_what_was_never_there(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given / When / Then
    path = {"route": "a"}
    assert invoke("nexus.list_route_versions", path=path, query={}, **operator).status == 404
