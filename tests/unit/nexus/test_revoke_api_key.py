"""nexus.revoke_api_key: a key ends, by its owner or an administrator."""

from __future__ import annotations

import pytest

from tests.support.api_keys import assert_refused, authorized, issue
from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("by", ["ann@example.com", "admin@example.com"])
def test_a_revoked_key_is_refused_by_whoever_looks_it_up(invoke: Invoker, by: str) -> None:
    # Given
    people = {
        "ann@example.com": add_user(),
        "admin@example.com": add_user("admin@example.com", roles=["admin"]),
    }
    key, other = issue(people["ann@example.com"]), issue(people["ann@example.com"])
    assert authorized(key["key"])
    # When
    answers = [
        invoke("nexus.revoke_api_key", path={"key": key["id"]}, **acting(people[by]))
        for _ in range(2)
    ]
    # Then
    assert [answer.status for answer in answers] == [204, 204]
    assert_refused(key["key"])
    assert authorized(other["key"])


def test_nobody_else_revokes_it_or_learns_of_it(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    key = issue(add_user())
    bob = acting(add_user("bob@example.com"))
    others = [
        bob,
        {**bob, "roles": "admin", "scopes": "read write admin"},
        acting(add_user("eve@acme.example", tenant="acme", roles=["admin"])),
    ]
    # When / Then
    for other in others:
        answer = invoke("nexus.revoke_api_key", path={"key": key["id"]}, **other)
        assert answer.status == 404
    assert authorized(key["key"])


def test_an_administrator_needs_the_scope(invoke: Invoker) -> None:
    # Given
    key = issue(add_user())
    admin = {**acting(add_user("admin@example.com", roles=["admin"])), "scopes": "read write"}
    # When / Then
    assert invoke("nexus.revoke_api_key", path={"key": key["id"]}, **admin).status == 403
    assert authorized(key["key"])


@pytest.mark.parametrize("key", ["00000000", "short", "8aKf3QzT1", "8aKf3Qz'"])
def test_there_may_be_no_such_key(invoke: Invoker, key: str) -> None:
    # Given / When
    answer = invoke("nexus.revoke_api_key", path={"key": key}, **acting(add_user()))
    # Then
    assert answer.status in (404, 422)
