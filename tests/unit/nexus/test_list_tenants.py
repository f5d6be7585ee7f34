"""GET /v1/nexus/tenants."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user


def test_an_operator_sees_all_tenants_page_by_page(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("zeta")
    add_tenant("acme")
    operator = add_user("admin@example.com", roles=["admin"])
    # When
    first = invoke("nexus.list_tenants", query={"limit": "2"}, **acting(operator)).json
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = invoke("nexus.list_tenants", query=query, **acting(operator)).json
    # Then
    found = [item["id"] for item in first["items"] + second["items"]]
    assert found == ["acme", "public", "zeta"]
    assert second["next_cursor"] is None


def test_others_may_not_list(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    # When
    answer = invoke("nexus.list_tenants", **acting(admin))
    # Then
    assert answer.status == 403
