"""DELETE /v1/nexus/routes/{route}."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user, rows
from tests.support.routing import add_route, ask


@pytest.fixture
def operator(database: str) -> dict[str, Any]:
    """Return what makes a request one of an operator's."""
    return acting(add_user("root@example.com", roles=["admin"]))


def test_a_deleted_rule_routes_nothing_and_keeps_its_versions(
    invoke: Invoker, operator: dict[str, Any]
) -> None:
    # Given
    add_route("a")
    # When
    gone = invoke(
        "nexus.delete_route", path={"route": "a"}, headers={"If-Match": '"1"'}, **operator
    )
    # Then
    assert (gone.status, gone.body) == (204, "")
    assert ask("/things").status == 404
    kept = rows("SELECT version, rule IS NULL AS gone FROM nexus.route_versions ORDER BY version")
    assert kept == [{"version": 1, "gone": False}, {"version": 2, "gone": True}]
    # And a rule of that name goes on counting
    assert add_route("a").version == 3


def test_a_rule_that_has_changed_stays(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given
    add_route("a")
    headers = {"If-Match": '"9"'}
    # When / Then
    path = {"route": "a"}
    assert invoke("nexus.delete_route", path=path, headers=headers, **operator).status == 412
    assert rows("SELECT name FROM nexus.routes WHERE rule IS NOT NULL") == [{"name": "a"}]


def test_what_is_not_there(invoke: Invoker, operator: dict[str, Any]) -> None:
    # Given / When / Then
    headers = {"If-Match": "*"}
    path = {"route": "a"}
    assert invoke("nexus.delete_route", path=path, headers=headers, **operator).status == 404
