"""nexus.list_api_keys: one's own keys; administrators see their tenant's."""

from __future__ import annotations

import pytest

from tests.support.api_keys import authorized, issue
from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user

pytestmark = pytest.mark.usefixtures("database")


def test_one_sees_ones_own_page_by_page(invoke: Invoker) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    own = sorted(issue(ann)["id"] for _ in range(3))
    issue(bob)
    # When
    first = invoke("nexus.list_api_keys", query={"limit": "2"}, **acting(ann)).json
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = invoke("nexus.list_api_keys", query=query, **acting(ann)).json
    # Then
    assert [item["id"] for item in first["items"] + second["items"]] == own
    assert second["next_cursor"] is None
    assert "key" not in first["items"][0]
    assert "secret_hash" not in first["items"][0]


def test_the_last_use_is_told(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    used, unused = issue(ann, name="used"), issue(ann, name="unused")
    authorized(used["key"])
    # When
    items = invoke("nexus.list_api_keys", **acting(ann)).json["items"]
    # Then
    last = {item["id"]: item["last_used_at"] for item in items}
    assert last[unused["id"]] is None
    assert last[used["id"]] > used["created_at"]


def test_an_administrator_sees_his_tenants_and_no_others(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    ann, admin = add_user(), add_user("admin@example.com", roles=["admin"])
    eve = add_user("eve@acme.example", tenant="acme")
    key = issue(ann)
    issue(eve)
    # When
    everybody = {"owner": "anyone"}
    seen = invoke("nexus.list_api_keys", query=everybody, **acting(admin)).json["items"]
    own = invoke("nexus.list_api_keys", **acting(admin)).json["items"]
    # Then
    assert [item["id"] for item in seen] == [key["id"]]
    assert own == []


def test_nobody_else_sees_everybodys(invoke: Invoker) -> None:
    # Given an editor, and one whose context claims to be an administrator's
    ann = acting(add_user())
    forged = {**ann, "roles": "admin", "scopes": "read write admin"}
    # When / Then
    for caller in (ann, forged):
        assert invoke("nexus.list_api_keys", query={"owner": "anyone"}, **caller).status == 403


def test_a_foreign_cursor_is_refused(invoke: Invoker) -> None:
    # Given / When / Then
    query = {"cursor": "bm90IG91cnM"}
    assert invoke("nexus.list_api_keys", query=query, **acting(add_user())).status == 422
