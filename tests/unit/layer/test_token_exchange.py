"""Token exchange: a service acts for its caller, with less, for no longer, and is named."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from datapunk.nexus.tokens import verify_access_token

from tests.support.oauth import (
    ACCESS_TOKEN,
    SERVICE,
    WEB,
    add_client,
    add_tenant,
    add_user,
    exchange,
    own_token,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")


def read(token: str) -> dict[str, Any]:
    payload: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return payload


def test_a_service_acts_for_its_caller_with_less() -> None:
    # Given
    user, web, service = add_user(), add_client(), add_client(SERVICE)
    subject = tokens_of(web, user, scope="openid read write")["access_token"]
    # When
    answer = exchange(service, subject, scope="read", audience="datapunk")
    # Then
    caller = verify_access_token(answer.json["access_token"])
    assert (caller.principal, caller.scopes) == (user.principal, ("read",))
    assert caller.actors == (f"client:{service.id}",)
    assert answer.json["issued_token_type"] == ACCESS_TOKEN
    assert answer.json["expires_in"] <= 900


def test_every_hop_is_recorded() -> None:
    # Given
    user, web = add_user(), add_client()
    first, second = add_client(SERVICE), add_client(SERVICE)
    subject = tokens_of(web, user)["access_token"]
    # When
    once = exchange(first, subject).json["access_token"]
    twice = exchange(second, once).json["access_token"]
    # Then
    assert verify_access_token(twice).actors == (first.principal, second.principal)
    assert read(twice)["act"] == {"sub": second.principal, "act": {"sub": first.principal}}


def test_an_exchange_never_widens() -> None:
    # Given
    service = add_client(SERVICE)
    subject = tokens_of(add_client(), add_user(), scope="read")["access_token"]
    # When / Then
    assert exchange(service, subject, scope="write").json["error"] == "invalid_scope"
    assert exchange(service, subject).json["scope"] == "read"
    narrow = add_client(SERVICE, scopes=["write"])
    assert exchange(narrow, subject).json["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"subject_token": "not a token"}, "invalid_grant"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"audience": "elsewhere"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"},
            "invalid_request",
        ),
        ({"actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"actor_token": "not a token", "actor_token_type": ACCESS_TOKEN}, "invalid_grant"),
    ],
    ids=str,
)
def test_a_wrong_exchange_is_refused(changed: dict[str, str | None], error: str) -> None:
    # Given
    service = add_client(SERVICE)
    token = own_token(add_client(SERVICE)).json["access_token"]
    # When
    answer = exchange(service, token, **changed)
    # Then
    assert (answer.status, answer.json["error"]) == (400, error)


def test_an_actor_token_confirms_the_client_and_nobody_else() -> None:
    # Given
    service, other = add_client(SERVICE), add_client(SERVICE)
    subject = tokens_of(add_client(), add_user())["access_token"]
    own, foreign = (own_token(client).json["access_token"] for client in (service, other))
    # When
    good = exchange(service, subject, actor_token=own, actor_token_type=ACCESS_TOKEN)
    bad = exchange(service, subject, actor_token=foreign, actor_token_type=ACCESS_TOKEN)
    # Then
    assert good.status == 200
    assert bad.json["error"] == "invalid_grant"


def test_no_token_crosses_tenants() -> None:
    # Given
    add_tenant("acme")
    foreign = own_token(add_client(SERVICE, tenant="acme")).json["access_token"]
    # When
    answer = exchange(add_client(SERVICE), foreign)
    # Then
    assert answer.json["error"] == "invalid_grant"


def test_the_web_client_of_these_tests_may_not_exchange() -> None:
    # Given
    assert "urn:ietf:params:oauth:grant-type:token-exchange" not in WEB["grant_types"]
    client = add_client()
    # When
    answer = exchange(client, tokens_of(client, add_user())["access_token"])
    # Then
    assert answer.json["error"] == "unauthorized_client"
