"""nexus.get_userinfo: as much about the user as the token's scopes let through."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM

from tests.support.invoking import Answer, Invoker
from tests.support.oauth import SERVICE, add_client, add_user, own_token, tokens_of

pytestmark = pytest.mark.usefixtures("database")


def ask(invoke: Invoker, token: str) -> Answer:
    return invoke("nexus.get_userinfo", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name", "updated_at"}),
        ("openid email", {"sub", "email", "email_verified"}),
    ],
)
def test_a_scope_lets_its_claims_through(invoke: Invoker, scope: str, names: set[str]) -> None:
    # Given
    user = add_user()
    token = tokens_of(add_client(), user, scope=scope)["access_token"]
    # When
    answer = ask(invoke, token)
    # Then
    told: dict[str, Any] = answer.json
    assert (answer.status, set(told)) == (200, names)
    assert told["sub"] == user.principal
    assert told.get("email", "ann@example.com") == "ann@example.com"
    assert told.get("email_verified", True) is True
    assert answer.headers["cache-control"] == "no-store"


def test_a_token_without_openid_tells_nothing(invoke: Invoker) -> None:
    # Given
    token = tokens_of(add_client(), add_user(), scope="read")["access_token"]
    # When / Then
    assert ask(invoke, token).status == 403


def test_a_clients_own_token_is_no_users(invoke: Invoker) -> None:
    # Given
    token = own_token(add_client(SERVICE)).json["access_token"]
    # When / Then
    assert ask(invoke, token).status == 403


def test_a_token_is_needed_and_must_be_good(invoke: Invoker) -> None:
    # Given / When
    answer = invoke("nexus.get_userinfo")
    # Then
    assert answer.status == 401
    assert "Bearer" in answer.headers["www-authenticate"]
    assert invoke("nexus.get_userinfo", headers={"Authorization": "Basic eA=="}).status == 401


def test_a_user_who_is_gone_is_not_told_of(invoke: Invoker) -> None:
    # Given
    user = add_user()
    token = tokens_of(add_client(), user)["access_token"]
    with transaction(SYSTEM) as tx:
        tx.execute("DELETE FROM nexus.users WHERE id = %s", (user.id,))
    # When / Then
    assert ask(invoke, token).status == 401
