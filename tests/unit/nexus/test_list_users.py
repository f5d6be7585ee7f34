"""GET /v1/nexus/users."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user


def test_pages_hold_the_tenants_users_by_address(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("b@example.com", roles=["admin"])
    add_user("a@example.com")
    add_user("c@example.com")
    add_user("aa@acme.example", tenant="acme")
    # When
    first = invoke("nexus.list_users", query={"limit": "2"}, **acting(admin)).json
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = invoke("nexus.list_users", query=query, **acting(admin)).json
    # Then
    names = [item["email"] for item in first["items"] + second["items"]]
    assert names == ["a@example.com", "b@example.com", "c@example.com"]
    assert second["next_cursor"] is None


def test_a_plain_user_may_not_list(database: str, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    # When
    answer = invoke("nexus.list_users", **acting(ann))
    # Then
    assert answer.status == 403
