"""POST /v1/nexus/routes/{route}/rollback."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user, rows
from tests.support.routing import add_route, remove_route


@pytest.fixture
def operator(database: str) -> dict[str, Any]:
    """Return what makes a request one of an operator's."""
    return acting(add_user("root@example.com", roles=["admin"]))


def _roll_back(operator: dict[str, Any], version: int, **headers: str) -> Any:
    return Invoker()(
        "nexus.roll_back_route",
        path={"route": "a"},
        body={"version": version},
        headers=headers,
        **operator,
    )


def test_an_earlier_version_counts_again_as_a_new_one(operator: dict[str, Any]) -> None:
    # Given
    add_route("a", timeout="ai")
    add_route("a", timeout="training")
    # When
    back = _roll_back(operator, 1, **{"If-Match": '"2"'})
    # Then
    assert (back.status, back.json["version"], back.headers["etag"]) == (200, 3, '"3"')
    assert back.json["rule"]["timeout"] == "ai"
    (found,) = rows("SELECT detail FROM nexus.audit WHERE action = 'nexus.roll_back_route'")
    assert found["detail"] == {"version": 3, "of": 1}


def test_a_deleted_rule_comes_back(operator: dict[str, Any]) -> None:
    # Given
    add_route("a", timeout="ai")
    remove_route("a")
    # When
    back = _roll_back(operator, 1)
    # Then
    assert (back.status, back.json["version"]) == (200, 3)


@pytest.mark.parametrize(("version", "status"), [(7, 404), (2, 409), (0, 422)])
def test_what_is_no_version_to_go_back_to(
    operator: dict[str, Any], version: int, status: int
) -> None:
    # Given a rule that was deleted in version 2
    add_route("a")
    remove_route("a")
    # When / Then
    assert _roll_back(operator, version).status == status


def test_a_version_whose_requests_are_another_rules_by_now(operator: dict[str, Any]) -> None:
    # Given
    add_route("a")
    remove_route("a")
    add_route("b")
    # When / Then
    assert _roll_back(operator, 1).status == 409


def test_a_rule_that_has_changed_stays_as_it_is(operator: dict[str, Any]) -> None:
    # Given
    add_route("a")
    # When / Then
    assert _roll_back(operator, 1, **{"If-Match": '"5"'}).status == 412
