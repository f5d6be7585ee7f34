"""nexus.list_clients: the tenant's clients, page by page, without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Answer, Invoker
from tests.support.oauth import SERVICE, add_client, add_tenant, add_user

pytestmark = pytest.mark.usefixtures("database")


def ask(invoke: Invoker, tenant: str, principal: str, **query: Any) -> Answer:
    return invoke(
        "nexus.list_clients",
        query=query,
        tenant=tenant,
        principal=principal,
        roles="admin",
        scopes="read write admin",
    )


def test_pages_lead_through_all_of_the_tenants_clients(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    administrator = add_user(roles=("admin",)).principal
    ids = sorted(add_client(SERVICE).id for _ in range(3))
    add_client(SERVICE, tenant="acme")
    # When
    first = ask(invoke, "public", administrator, limit="2").json
    second = ask(invoke, "public", administrator, limit="2", cursor=first["next_cursor"]).json
    # Then
    found = first["items"] + second["items"]
    assert sorted(item["id"] for item in found) == ids
    assert second["next_cursor"] is None
    assert not any("secret" in name for item in found for name in item)


def test_another_tenants_administrator_sees_his_own_only(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    administrator = add_user("bob@acme.example", roles=("admin",), tenant="acme").principal
    add_client(SERVICE)
    own = add_client(SERVICE, tenant="acme")
    # When
    items = ask(invoke, "acme", administrator).json["items"]
    # Then
    assert [item["id"] for item in items] == [own.id]


def test_the_database_shows_clients_to_administrators_only(invoke: Invoker) -> None:
    # Given somebody whose context says more than the tables
    editor = add_user().principal
    add_client(SERVICE)
    # When / Then
    assert ask(invoke, "public", editor).json["items"] == []


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"cursor": "x"}])
def test_a_wrong_page_is_refused(invoke: Invoker, query: dict[str, str]) -> None:
    # Given / When / Then
    assert ask(invoke, "public", "user:x", **query).status == 422
