"""GET /v1/nexus/routes."""

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


def test_rules_are_listed_page_by_page(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    for name in ("c", "a", "b"):
        add_route(name, service=f"s-{name}")
    # When
    first = invoke("nexus.list_routes", query={"limit": "2"}, **operator)
    query = {"limit": "2", "cursor": first.json["next_cursor"]}
    second = invoke("nexus.list_routes", query=query, **operator)
    # Then
    assert [item["name"] for item in first.json["items"]] == ["a", "b"]
    assert [item["name"] for item in second.json["items"]] == ["c"]
    assert second.json["next_cursor"] is None


def test_those_of_a_service(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    add_route("a", service="shop")
    add_route("b", service="billing")
    # When
    found = invoke("nexus.list_routes", query={"service": "shop"}, **operator)
    # Then
    assert [item["name"] for item in found.json["items"]] == ["a"]


def test_a_deleted_rule_is_not_listed(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    add_route("a")
    remove_route("a")
    # When / Then
    assert invoke("nexus.list_routes", query={}, **operator).json["items"] == []


def test_rules_are_for_operators(invoke: Invoker, database: str) -> None:
    # Given
    add_route()
    editor = acting(add_user())
    forged = {**editor, "roles": "admin", "scopes": "admin"}
    # When / Then
    assert invoke("nexus.list_routes", query={}, **editor).status == 403
    assert invoke("nexus.list_routes", query={}, **forged).json["items"] == []
