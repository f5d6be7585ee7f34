"""Stock clients, authlib and PyJWT, complete each flow over HTTP, configured by discovery alone."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from datapunk.settings import settings

from tests.support.http_server import serving
from tests.support.oauth import (
    ACCESS_TOKEN,
    CALLBACK,
    EXCHANGE,
    SERVICE,
    add_client,
    add_user,
    cookie_of,
)

OPERATIONS = (
    "nexus.begin_authorization",
    "nexus.describe_issuer",
    "nexus.end_session",
    "nexus.get_jwks",
    "nexus.get_userinfo",
    "nexus.introspect_token",
    "nexus.issue_token",
    "nexus.revoke_token",
)
OAUTH_METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def issuer(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a running authorization server, which is its issuer."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(OPERATIONS, ("GET", OAUTH_METADATA, "nexus.describe_issuer")) as url:
        monkeypatch.setenv("ISSUER", url)
        settings.cache_clear()
        yield url
    settings.cache_clear()


@pytest.fixture
def server(issuer: str) -> dict[str, Any]:
    """Return the server's metadata, as a client reads it."""
    with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=10) as got:
        document: dict[str, Any] = json.load(got)
    assert document["issuer"] == issuer
    return document


def browse(url: str, cookie: str) -> str:
    """Follow a link as a signed-in browser; return where it is sent."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.status == 302, answer.read()
        location = answer.headers["Location"]
        assert location is not None
        return location
    finally:
        connection.close()


def verified(server: dict[str, Any], token: str, audience: str) -> dict[str, Any]:
    """Verify a token as any service would, with the keys that the server publishes."""
    keys = jwt.PyJWKClient(server["jwks_uri"], timeout=10)
    claims: dict[str, Any] = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=server["id_token_signing_alg_values_supported"],
        audience=audience,
        issuer=server["issuer"],
    )
    return claims


def web_session(server: dict[str, Any], **options: Any) -> tuple[OAuth2Session, dict[str, Any]]:
    """Go through the code flow with PKCE; return the client's session and its tokens."""
    registered, user = add_client(**options.pop("registered", {})), add_user()
    session = OAuth2Session(
        registered.id,
        registered.client_secret,
        scope="openid profile email read write",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        **options,
    )
    verifier = generate_token(64)
    url, state = session.create_authorization_url(
        server["authorization_endpoint"], code_verifier=verifier, nonce="a nonce"
    )
    location = browse(url, cookie_of(user))
    tokens = session.fetch_token(
        server["token_endpoint"],
        authorization_response=location,
        code_verifier=verifier,
        state=state,
    )
    return session, dict(tokens)


def test_authorization_code_with_pkce_and_a_verified_id_token(server: dict[str, Any]) -> None:
    # Given / When
    session, tokens = web_session(server)
    # Then
    identity = verified(server, tokens["id_token"], session.client_id)
    access = verified(server, tokens["access_token"], "datapunk")
    assert identity["nonce"] == "a nonce"
    assert identity["sub"] == access["sub"]
    told = session.get(server["userinfo_endpoint"]).json()
    assert (told["sub"], told["email"]) == (identity["sub"], "ann@example.com")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_each_way_to_prove_oneself(server: dict[str, Any], method: str) -> None:
    # Given
    assert method in server["token_endpoint_auth_methods_supported"]
    # When
    _, tokens = web_session(server, token_endpoint_auth_method=method)
    # Then
    assert tokens["token_type"] == "Bearer"


def test_a_public_client(server: dict[str, Any]) -> None:
    # Given / When
    _, tokens = web_session(server, token_endpoint_auth_method="none", registered={"public": True})
    # Then
    assert verified(server, tokens["access_token"], "datapunk")


def test_refresh_with_rotation_and_its_replay(server: dict[str, Any]) -> None:
    # Given
    session, first = web_session(server)
    # When
    second = session.refresh_token(server["token_endpoint"], first["refresh_token"])
    # Then
    assert second["refresh_token"] != first["refresh_token"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token(server["token_endpoint"], first["refresh_token"])
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token(server["token_endpoint"], second["refresh_token"])


def test_client_credentials_and_token_exchange(server: dict[str, Any]) -> None:
    # Given
    _, tokens = web_session(server)
    service = add_client(SERVICE)
    session = OAuth2Session(service.id, service.client_secret, scope="read")
    # When
    own = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    exchanged = session.fetch_token(
        server["token_endpoint"],
        grant_type=EXCHANGE,
        subject_token=tokens["access_token"],
        subject_token_type=ACCESS_TOKEN,
        scope="read",
    )
    # Then
    assert verified(server, own["access_token"], "datapunk")["sub"] == service.principal
    claims = verified(server, exchanged["access_token"], "datapunk")
    assert claims["act"] == {"sub": service.principal}
    assert claims["scope"] == "read"


def test_introspection_and_revocation(server: dict[str, Any]) -> None:
    # Given
    session, tokens = web_session(server)
    token = tokens["access_token"]
    before = session.introspect_token(server["introspection_endpoint"], token=token).json()
    # When
    revoked = session.revoke_token(server["revocation_endpoint"], token=token)
    # Then
    after = session.introspect_token(server["introspection_endpoint"], token=token).json()
    assert (before["active"], revoked.status_code, after) == (True, 200, {"active": False})


def test_logout(server: dict[str, Any]) -> None:
    # Given
    session, tokens = web_session(server)
    # When
    answer = session.get(
        server["end_session_endpoint"], params={"id_token_hint": tokens["id_token"]}
    )
    # Then
    assert answer.status_code == 200
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token(server["token_endpoint"], tokens["refresh_token"])


def test_both_metadata_documents_are_one(server: dict[str, Any], issuer: str) -> None:
    # Given / When
    with urllib.request.urlopen(f"{issuer}{OAUTH_METADATA}", timeout=10) as got:
        document = json.load(got)
    # Then
    assert document == server
