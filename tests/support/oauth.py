"""Users, clients and the steps of OAuth's flows, run by the real handlers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from datapunk.cookies import cookie_name
from datapunk.database import transaction
from datapunk.forms import FORM
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.clients import ClientRegistration, RegisteredClient, register_client
from datapunk.nexus.roles import Role
from datapunk.nexus.sessions import start_session
from datapunk.nexus.users import NewUser, UserAccount, create_user

from tests.support.invoking import Answer, answer
from tests.support.samples import http_event

CALLBACK = "https://app.example.com/callback"
SIGNED_OUT = "https://app.example.com/signed-out"
VERIFIER = "correct-horse-battery-staple-correct-horse-battery"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
WEB: dict[str, Any] = {
    "name": "Dashboard",
    "grant_types": ["authorization_code", "refresh_token"],
    "scopes": ["openid", "profile", "email", "offline_access", "read", "write", "admin"],
    "redirect_uris": [CALLBACK],
    "post_logout_redirect_uris": [SIGNED_OUT],
}
SERVICE: dict[str, Any] = {
    "name": "Loader",
    "grant_types": ["client_credentials", EXCHANGE],
    "scopes": ["read", "write"],
}


def challenge(verifier: str = VERIFIER) -> str:
    """Return the PKCE challenge of a verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def add_tenant(tenant: str) -> None:
    with transaction(SYSTEM) as tx:
        tx.execute("INSERT INTO nexus.tenants (id, name) VALUES (%s, %s)", (tenant, tenant))


def add_user(
    email: str = "ann@example.com", *, roles: Sequence[str] = ("editor",), tenant: str = "public"
) -> UserAccount:
    wanted = NewUser(email=email, name="Ann", roles=[Role(role) for role in roles])
    with transaction(SYSTEM) as tx:
        return create_user(tx, wanted, tenant=tenant, verified=True)


def add_client(
    base: Mapping[str, Any] = WEB, *, tenant: str = "public", **changed: Any
) -> RegisteredClient:
    registration = ClientRegistration.model_validate({**base, **changed})
    with transaction(SYSTEM) as tx:
        return register_client(tx, registration, tenant=tenant)


def cookie_of(user: UserAccount) -> str:
    """Sign the user in; return the browser's `Cookie` header."""
    value, _ = start_session(user)
    return f"{cookie_name()}={value}"


def ask(client: RegisteredClient, cookie: str | None = None, **changed: str | None) -> Answer:
    """Send the browser to the authorization endpoint; a parameter that is None is left out."""
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": CALLBACK,
        "scope": "openid read",
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    }
    sent = {name: value for name, value in (parameters | changed).items() if value is not None}
    headers = {"Cookie": cookie} if cookie else {}
    return answer(
        "nexus.begin_authorization",
        http_event("nexus.begin_authorization", query=sent, headers=headers),
    )


def answered(redirect: Answer) -> dict[str, str]:
    """Return the parameters that a redirection carries."""
    assert redirect.status == 302, redirect.body
    query = parse_qs(urlsplit(redirect.headers["location"]).query, strict_parsing=True)
    return {name: values[0] for name, values in query.items()}


def code_for(client: RegisteredClient, user: UserAccount, **changed: str | None) -> str:
    return answered(ask(client, cookie_of(user), **changed))["code"]


def post(operation: str, client: RegisteredClient | None, **form: str | None) -> Answer:
    """Send a form to one of the endpoints, in the client's name where there is one."""
    sent = {name: value for name, value in form.items() if value is not None}
    headers = {}
    if client is not None and client.client_secret is not None:
        pair = f"{client.id}:{client.client_secret}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    elif client is not None:
        sent.setdefault("client_id", client.id)
        headers["Authorization"] = ""
    event = http_event(operation, body=urlencode(sent), content_type=FORM, headers=headers)
    if not headers.get("Authorization"):
        for member in ("headers", "multiValueHeaders"):
            event[member].pop("Authorization", None)
    return answer(operation, event)


def redeem(client: RegisteredClient, code: str, /, **changed: str | None) -> Answer:
    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return post("nexus.issue_token", client, **(form | changed))


def refresh(client: RegisteredClient, token: str, /, **changed: str | None) -> Answer:
    form: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": token}
    return post("nexus.issue_token", client, **(form | changed))


def exchange(client: RegisteredClient, token: str, /, **changed: str | None) -> Answer:
    form: dict[str, str | None] = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
    }
    return post("nexus.issue_token", client, **(form | changed))


def own_token(client: RegisteredClient, **changed: str | None) -> Answer:
    form: dict[str, str | None] = {"grant_type": "client_credentials"}
    return post("nexus.issue_token", client, **(form | changed))


def tokens_of(client: RegisteredClient, user: UserAccount, **changed: str | None) -> dict[str, Any]:
    """Go through the whole code flow; return the answer of the token endpoint."""
    got = redeem(client, code_for(client, user, **changed))
    assert got.status == 200, got.body
    tokens: dict[str, Any] = got.json
    return tokens
