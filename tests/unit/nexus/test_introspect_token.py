"""nexus.introspect_token: what a token is worth, told to those it concerns."""

from __future__ import annotations

import time

import pytest
from datapunk.nexus.sessions import end_sessions

from tests.support.invoking import Invoker
from tests.support.oauth import (
    SERVICE,
    add_client,
    add_tenant,
    add_user,
    own_token,
    post,
    refresh,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")
INACTIVE = {"active": False}


def test_a_good_token_is_described() -> None:
    # Given
    web, user, service = add_client(), add_user(), add_client(SERVICE)
    token = tokens_of(web, user)["access_token"]
    # When
    found = post("nexus.introspect_token", service, token=token)
    # Then
    assert found.status == 200
    told = found.json
    assert (told["active"], told["token_type"], told["scope"]) == (True, "Bearer", "openid read")
    assert (told["sub"], told["client_id"], told["tenant"]) == (user.principal, web.id, "public")
    assert time.time() < told["exp"] <= time.time() + 900
    assert found.headers["cache-control"] == "no-store"


def test_another_tenants_token_is_worth_nothing_here() -> None:
    # Given
    add_tenant("acme")
    token = own_token(add_client(SERVICE, tenant="acme")).json["access_token"]
    # When / Then
    assert post("nexus.introspect_token", add_client(SERVICE), token=token).json == INACTIVE


def test_a_refresh_token_is_told_to_its_own_client_while_it_is_good() -> None:
    # Given
    web, user, service = add_client(), add_user(), add_client(SERVICE)
    token = tokens_of(web, user)["refresh_token"]
    # When
    own = post("nexus.introspect_token", web, token=token).json
    foreign = post("nexus.introspect_token", service, token=token).json
    # Then
    assert (own["active"], own["sub"]) == (True, user.principal)
    assert own["exp"] > time.time() + 86_400
    assert foreign == INACTIVE
    # When it has been used
    following = refresh(web, token).json["refresh_token"]
    # Then looking is no use: the family lives on
    assert post("nexus.introspect_token", web, token=token).json == INACTIVE
    assert post("nexus.introspect_token", web, token=following).json["active"] is True
    # When the session ends
    end_sessions(user.id)
    # Then
    assert post("nexus.introspect_token", web, token=following).json == INACTIVE


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 9000])
def test_what_is_no_token_is_not_active(token: str) -> None:
    # Given / When / Then
    assert post("nexus.introspect_token", add_client(SERVICE), token=token).json == INACTIVE


def test_who_does_not_prove_himself_learns_nothing(invoke: Invoker) -> None:
    # Given
    public = add_client(public=True)
    # When / Then
    assert invoke("nexus.introspect_token").status == 401
    assert post("nexus.introspect_token", public, token="x").status == 401
    assert post("nexus.introspect_token", add_client(SERVICE)).json["error"] == "invalid_request"
