"""nexus.register_client: what may be registered, and that the secret is shown once."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.errors import ConflictError
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.clients import ClientRegistration
from datapunk.nexus.oauth.clients import register_client as register

from tests.support.invoking import Answer, Invoker
from tests.support.oauth import SERVICE, WEB, add_tenant, add_user, own_token

pytestmark = pytest.mark.usefixtures("database")


def send(invoke: Invoker, document: Any, *, tenant: str = "public") -> Answer:
    email = f"admin@{tenant}.example"
    administrator = add_user(email, roles=("admin",), tenant=tenant)
    return invoke(
        "nexus.register_client",
        body=document,
        tenant=tenant,
        principal=administrator.principal,
        roles="admin",
        scopes="read write admin",
    )


def test_a_registered_client_gets_tokens(invoke: Invoker) -> None:
    # Given
    answer = send(invoke, SERVICE)
    # When
    document = answer.json
    # Then
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    assert (document["tenant"], document["public"]) == ("public", False)
    assert len(document["client_secret"]) >= 43
    assert "secret_hash" not in document
    registered = type("Registered", (), {"id": document["id"], **document})
    assert own_token(registered()).status == 200


def test_what_is_kept_of_the_secret_is_its_digest(invoke: Invoker) -> None:
    # Given
    secret = send(invoke, SERVICE).json["client_secret"]
    # When
    with transaction(SYSTEM) as tx:
        row = tx.value("SELECT c::text FROM nexus.oauth_clients AS c WHERE name = 'Loader'")
    # Then
    assert secret not in row


def test_a_public_client_has_no_secret(invoke: Invoker) -> None:
    # Given / When
    document = send(invoke, {**WEB, "public": True}).json
    # Then
    assert (document["public"], document["client_secret"]) == (True, None)


def test_a_client_belongs_to_its_administrators_tenant(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    # When
    document = send(invoke, SERVICE, tenant="acme").json
    # Then
    assert document["tenant"] == "acme"


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "//app.example.com/callback",
        "/callback",
        "app.example.com",
        "https://",
        "https:///callback",
        "https://app.example.com/#x",
        "https://app.example.com/callback#",
        "https://user@app.example.com/",
        "https://*.example.com/callback",
        "https://app.example.com/\\evil",
        "https://app.example.com/ x",
        "https://app.example.com/\r\nX: y",
        "https://äpp.example.com/",
        "https://app.example.com:port/",
        "https://[::1",
        "http://127.0.0.1.evil.example/callback",
        "http://localhost.evil.example/callback",
    ],
)
def test_an_unsafe_address_is_refused(invoke: Invoker, uri: str) -> None:
    # Given / When
    for member in ("redirect_uris", "post_logout_redirect_uris"):
        answer = invoke(
            "nexus.register_client", body={**WEB, "redirect_uris": ["https://a.b/"], member: [uri]}
        )
        # Then
        assert answer.status == 422, member
        assert member in answer.json["errors"][0]["field"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/callback?x=1",
        "http://127.0.0.1/callback",
        "http://[::1]:8000/callback",
        "http://localhost:3000/",
    ],
)
def test_a_safe_address_is_taken(uri: str) -> None:
    # Given / When
    registration = ClientRegistration.model_validate({**WEB, "redirect_uris": [uri]})
    # Then
    assert registration.redirect_uris == [uri]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "a\x00b"},
        {"grant_types": []},
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"redirect_uris": []},
        {"grant_types": ["refresh_token"]},
        {"public": True, "grant_types": ["client_credentials"]},
        {"secret": "chosen by me"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(invoke: Invoker, changed: dict[str, Any]) -> None:
    # Given / When / Then
    assert invoke("nexus.register_client", body={**WEB, **changed}).status == 422


def test_who_is_no_administrator_is_refused_by_policy_and_by_the_database(invoke: Invoker) -> None:
    # Given
    editor = add_user(roles=("editor",))
    caller: dict[str, Any] = {"tenant": "public", "principal": editor.principal}
    # When the policy looks at what the token says
    refused = invoke("nexus.register_client", **caller, roles="editor", scopes="read write")
    # When a forged context says more
    forged = invoke("nexus.register_client", **caller, roles="admin", scopes="read write admin")
    # Then
    assert (refused.status, forged.status) == (403, 403)


def test_an_id_is_taken_once() -> None:
    # Given
    registration = ClientRegistration.model_validate(SERVICE)
    # When
    with transaction(SYSTEM) as tx:
        made = register(tx, registration, client_id="loader", secret="s" * 43, tenant="public")
    # Then
    assert (made.id, made.client_secret) == ("loader", "s" * 43)
    with transaction(SYSTEM) as tx, pytest.raises(ConflictError):
        register(tx, registration, client_id="loader", tenant="public")
