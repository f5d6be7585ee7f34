"""nexus.issue_token: four grants, each with its proof, each refused without it."""

from __future__ import annotations

import base64
from typing import Any

import jwt
import pytest
from datapunk.database import transaction
from datapunk.forms import FORM
from datapunk.identity import SYSTEM
from datapunk.nexus.sessions import end_sessions
from datapunk.nexus.tokens import verify_access_token
from datapunk.nexus.users import disable_user
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.oauth import (
    CALLBACK,
    SERVICE,
    VERIFIER,
    add_client,
    add_user,
    code_for,
    own_token,
    post,
    redeem,
    refresh,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")


def read(token: str) -> dict[str, Any]:
    payload: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return payload


def test_a_code_becomes_tokens_for_its_user() -> None:
    # Given
    client, user = add_client(), add_user()
    # When
    answer = redeem(client, code_for(client, user, scope="openid read write"))
    # Then
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    tokens = answer.json
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert tokens["scope"] == "openid read write"
    caller = verify_access_token(tokens["access_token"])
    assert (caller.principal, caller.tenant) == (user.principal, "public")
    assert (caller.roles, caller.scopes) == (("editor",), ("openid", "read", "write"))
    identity = read(tokens["id_token"])
    assert (identity["aud"], identity["sub"]) == (client.id, user.principal)
    assert (identity["nonce"], identity["iss"]) == ("a nonce", "http://localhost:8080")


def test_nobody_grants_what_he_does_not_have() -> None:
    # Given a viewer, and a client that may ask for everything
    client, user = add_client(), add_user(roles=("viewer",))
    # When
    tokens = tokens_of(client, user, scope="read write admin")
    # Then
    assert tokens["scope"] == "read"
    assert "id_token" not in tokens


def test_without_the_grant_type_there_is_no_refresh_token() -> None:
    # Given
    client = add_client(grant_types=["authorization_code"])
    # When / Then
    assert "refresh_token" not in tokens_of(client, add_user())


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "unknown"},
        {"redirect_uri": "https://app.example.com/other"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"code_verifier": VERIFIER[::-1]},
        {"code_verifier": "too-short"},
        {"code_verifier": "ü" * 50},
    ],
    ids=str,
)
def test_a_code_without_its_proof_is_refused_and_gone(changed: dict[str, str]) -> None:
    # Given
    client = add_client()
    code = code_for(client, add_user())
    # When
    answer = redeem(client, code, **changed)
    # Then
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    # Then whoever has the code does not get to try again, unless he did not have it
    assert redeem(client, code).status == (200 if "code" in changed else 400)


def test_a_code_ends_after_a_minute() -> None:
    # Given
    client = add_client()
    code = code_for(client, add_user())
    with transaction(SYSTEM) as tx:
        tx.execute("UPDATE nexus.oauth_codes SET expires_at = now() - interval '1 ms'")
    # When / Then
    assert redeem(client, code).json["error"] == "invalid_grant"


@pytest.mark.parametrize("missing", ["grant_type", "code", "redirect_uri", "code_verifier"])
def test_a_missing_parameter_is_named(missing: str) -> None:
    # Given
    client = add_client()
    # When
    answer = redeem(client, "a code", **{missing: None})
    # Then
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert missing in answer.json["error_description"]


def test_a_refresh_token_is_replaced_by_each_use() -> None:
    # Given
    client, user = add_client(), add_user()
    first = tokens_of(client, user)
    # When
    second = refresh(client, first["refresh_token"]).json
    third = refresh(client, second["refresh_token"], scope="read").json
    # Then
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert verify_access_token(second["access_token"]).principal == user.principal
    assert second["scope"] == "openid read"
    assert "nonce" not in read(second["id_token"])
    # Then less may be asked for, and the next time all of the grant again
    assert third["scope"] == "read"
    assert refresh(client, third["refresh_token"]).json["scope"] == "openid read"


def test_a_refresh_does_not_widen_the_grant() -> None:
    # Given
    client = add_client()
    token = tokens_of(client, add_user())["refresh_token"]
    # When
    answer = refresh(client, token, scope="read write")
    # Then it is refused, and the token is not used up by the mistake
    assert answer.json["error"] == "invalid_scope"
    assert refresh(client, token).status == 200


def test_a_refresh_gives_what_the_user_may_now() -> None:
    # Given
    client, user = add_client(), add_user(roles=("viewer", "editor"))
    token = tokens_of(client, user, scope="read write")["refresh_token"]
    # When a role is taken away
    with transaction(SYSTEM) as tx:
        tx.execute("DELETE FROM nexus.role_assignments WHERE role = 'editor'")
    answer = refresh(client, token)
    # Then
    assert answer.json["scope"] == "read"


def test_a_disabled_user_is_not_refreshed() -> None:
    # Given
    client, user = add_client(), add_user()
    token = tokens_of(client, user, scope="read offline_access")["refresh_token"]
    # When
    with transaction(SYSTEM) as tx:
        disable_user(tx, user.id)
    # Then
    assert refresh(client, token).json["error"] == "invalid_grant"


def test_refresh_tokens_end_with_the_session_unless_offline() -> None:
    # Given
    client, user = add_client(), add_user()
    online = tokens_of(client, user)["refresh_token"]
    offline = tokens_of(client, user, scope="read offline_access")["refresh_token"]
    # When
    end_sessions(user.id)
    # Then
    assert refresh(client, online).json["error"] == "invalid_grant"
    assert refresh(client, offline).status == 200


def test_a_client_gets_a_token_in_its_own_name() -> None:
    # Given
    client = add_client(SERVICE)
    # When
    everything, less = own_token(client), own_token(client, scope="read")
    # Then
    caller = verify_access_token(everything.json["access_token"])
    assert (caller.principal, caller.tenant) == (f"client:{client.id}", "public")
    assert (caller.roles, caller.scopes) == (("editor", "viewer"), ("read", "write"))
    assert less.json["scope"] == "read"
    assert "refresh_token" not in everything.json


def test_a_client_gets_no_more_than_it_was_registered_with() -> None:
    # Given
    client = add_client(SERVICE, scopes=["read", "openid"])
    # When / Then
    assert own_token(client, scope="write").json["error"] == "invalid_scope"
    assert own_token(client, scope="openid").json["error"] == "invalid_scope"


@pytest.mark.parametrize("grant_type", ["password", "implicit", "", "urn:x"])
def test_what_is_not_offered_is_said(grant_type: str) -> None:
    # Given / When
    answer = post("nexus.issue_token", add_client(SERVICE), grant_type=grant_type)
    # Then
    error = "unsupported_grant_type" if grant_type else "invalid_request"
    assert (answer.status, answer.json["error"]) == (400, error)


def test_a_client_uses_its_own_grants_only() -> None:
    # Given
    client = add_client()
    # When
    answer = post("nexus.issue_token", client, grant_type="client_credentials")
    # Then
    assert answer.json["error"] == "unauthorized_client"


def test_a_client_proves_itself_by_header_or_by_form(invoke: Invoker) -> None:
    # Given
    client = add_client(SERVICE)
    form = {"client_id": client.id, "client_secret": client.client_secret}
    # When
    in_form = post("nexus.issue_token", None, grant_type="client_credentials", **form)
    both = post("nexus.issue_token", client, grant_type="client_credentials", **form)
    other = post("nexus.issue_token", client, grant_type="client_credentials", client_id="other")
    # Then
    assert in_form.status == 200
    assert both.json["error"] == other.json["error"] == "invalid_request"


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic {other}",
        "Basic !!!",
        "Basic",
        "Bearer {right}",
        "Basic {unknown}",
        "Basic {empty}",
    ],
)
def test_a_client_that_does_not_prove_itself_is_answered_401(
    invoke: Invoker, authorization: str
) -> None:
    # Given
    client = add_client(SERVICE)
    pairs = {
        "right": f"{client.id}:{client.client_secret}",
        "other": f"{client.id}:another",
        "unknown": f"nobody:{client.client_secret}",
        "empty": f"{client.id}:",
    }
    texts = {name: base64.b64encode(pair.encode()).decode() for name, pair in pairs.items()}
    # When
    answer = invoke(
        "nexus.issue_token",
        body="grant_type=client_credentials",
        headers={"Authorization": authorization.format(**texts)},
    )
    # Then it does not say whether the client or the secret is unknown
    assert (answer.status, answer.json) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "The client is unknown or did not prove itself.",
        },
    )
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_public_client_has_pkce_and_no_secret() -> None:
    # Given
    client, user = add_client(public=True), add_user()
    # When
    code = code_for(client, user)
    with_secret = redeem(client, code, client_secret="anything")
    tokens = redeem(client, code)
    # Then
    assert with_secret.status == 401
    assert tokens.status == 200
    assert refresh(client, tokens.json["refresh_token"]).status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ('{"grant_type": "client_credentials"}', "application/json", 400),
        ("grant_type=client_credentials&grant_type=password", FORM, 400),
        ("%zz", FORM, 400),
        ("=&=&&&", FORM, 400),
        ("a=1&" * 60, FORM, 400),
        (" ", FORM, 400),
        ("grant_type=client_credentials&scope=%00", FORM, 400),
    ],
)
def test_a_body_that_is_no_form_is_refused_in_oauths_words(
    invoke: Invoker, body: str, content_type: str, status: int
) -> None:
    # Given / When
    answer = invoke("nexus.issue_token", body=body, content_type=content_type)
    # Then
    assert answer.json["error"] == "invalid_request"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.status in (status, 415)


def test_without_the_database_a_client_may_come_again(
    invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    # When
    answer = invoke("nexus.issue_token")
    # Then
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert "retry-after" in answer.headers
