"""Access tokens: what is issued is verified, and nothing else is."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from datapunk.errors import ForbiddenError, UnauthenticatedError
from datapunk.identity import SYSTEM, Caller
from datapunk.keyring import key_ring
from datapunk.keyring.file import FileKeyRing
from datapunk.nexus import keys, tokens
from datapunk.nexus.oauth.id_tokens import issue_id_token
from datapunk.settings import settings

ANN = Caller("user:7a0e5b3e-8a52-4b1c-9f6e-000000000001", "acme", ("editor",), ("read", "write"))
pytestmark = pytest.mark.usefixtures("environment")
LONG_AGO, FAR_AHEAD = 1_000_000_000, 4_000_000_000
"""Seconds since the epoch: 2001 and 2096."""
checked = pytest.mark.usefixtures("database")
"""A good token is looked up among the revoked ones."""


def issue(caller: Caller = ANN, **options: Any) -> str:
    options = {"client_id": "app", "scopes": ["read"], **options}
    return tokens.issue_access_token(caller, **options).access_token


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good token, changed; None leaves one out."""
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": settings().issuer,
        "sub": ANN.principal,
        "aud": "datapunk",
        "exp": now + 900,
        "iat": now,
        "nbf": now,
        "jti": "an id",
        "client_id": "app",
        "scope": "read",
        "tenant": "acme",
        "roles": ["editor"],
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def encoded(part: Any) -> bytes:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signed(header: dict[str, Any], payload: dict[str, Any]) -> str:
    """Sign anything with the platform's own key."""
    kid = key_ring().list_keys()[-1].kid
    message = encoded({"alg": "RS256", "typ": "at+jwt", "kid": kid, **header})
    message += b"." + encoded(payload)
    return (message + b"." + encoded(key_ring().sign(kid, message))).decode()


def refused(token: str) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        tokens.verify_access_token(token)
    return caught.value.detail


@checked
def test_a_token_says_who_asks_and_what_he_may() -> None:
    # Given
    token = issue()
    # When
    caller = tokens.verify_access_token(token)
    # Then the scopes are the token's, not all that the user has
    assert caller == Caller(ANN.principal, "acme", ("editor",), ("read",))


def test_a_token_has_the_claims_of_rfc_9068() -> None:
    # Given / When
    issued = tokens.issue_access_token(ANN, client_id="app", scopes=["read", "write"])
    payload = jwt.decode(issued.access_token, options={"verify_signature": False})
    header = jwt.get_unverified_header(issued.access_token)
    # Then
    assert (header["alg"], header["typ"]) == ("RS256", "at+jwt")
    assert payload["exp"] - payload["iat"] == issued.expires_in == 900
    assert payload["nbf"] == payload["iat"]
    assert payload["scope"] == issued.scope == "read write"
    assert {name: payload[name] for name in ("iss", "aud", "client_id", "tenant")} == {
        "iss": "http://localhost:8080",
        "aud": "datapunk",
        "client_id": "app",
        "tenant": "acme",
    }
    assert "act" not in payload


@checked
def test_no_two_tokens_have_one_id() -> None:
    # Given / When
    found = {tokens.read_access_token(issue()).token_id for _ in range(3)}
    # Then
    assert len(found) == 3


@checked
def test_actors_are_nested_the_nearest_outside_and_read_the_nearest_last() -> None:
    # Given
    caller = Caller(ANN.principal, "acme", actors=("client:first",))
    # When
    token = issue(caller, actor="client:second")
    payload = jwt.decode(token, options={"verify_signature": False})
    # Then
    assert payload["act"] == {"sub": "client:second", "act": {"sub": "client:first"}}
    assert tokens.verify_access_token(token).actors == ("client:first", "client:second")


@pytest.mark.parametrize(
    "caller",
    [SYSTEM, Caller(), Caller("user:x", "*"), Caller("system", "acme")],
    ids=["system", "anonymous", "every tenant", "system by name"],
)
def test_nobody_gets_a_token_of_the_platform_or_of_nobody(caller: Caller) -> None:
    # Given / When / Then
    with pytest.raises(ForbiddenError):
        issue(caller)


def test_a_chain_of_actors_ends_somewhere() -> None:
    # Given
    caller = Caller(ANN.principal, "acme", actors=("client:a",) * tokens.MAX_ACTORS)
    # When / Then
    with pytest.raises(ForbiddenError, match="handed on"):
        issue(caller, actor="client:b")


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": LONG_AGO},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": FAR_AHEAD},
        {"iat": FAR_AHEAD},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"jti": None},
        {"tenant": None},
        {"tenant": "*"},
        {"tenant": ["acme"]},
        {"scope": ["read"]},
        {"roles": "admin"},
        {"roles": [1]},
        {"ancestors": "a"},
        {"act": "client:a"},
        {"act": {"sub": 1}},
        {"act": {"act": {"sub": "client:a"}}},
        {"sid": 5},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused_even_with_our_signature(changed: dict[str, Any]) -> None:
    # Given
    token = signed({}, claims(**changed))
    # When / Then
    assert refused(token)


@checked
def test_a_good_token_of_the_tests_is_good() -> None:
    # Given / When / Then: each refusal above and below differs from this one in one thing
    assert tokens.verify_access_token(signed({}, claims())).principal == ANN.principal


@checked
def test_clocks_may_be_apart_for_five_seconds() -> None:
    # Given
    now = int(time.time())
    # When / Then
    assert tokens.verify_access_token(signed({}, claims(nbf=now + 3, iat=now + 3)))
    assert tokens.verify_access_token(signed({}, claims(exp=now - 3)))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "logout+jwt"},
        {"alg": "RS384"},
        {"alg": "PS256"},
        {"alg": "none"},
        {"alg": None},
        {"kid": "unknown"},
        {"kid": None},
        {"kid": 5},
        {"kid": "../../etc/passwd"},
        {"kid": "k" * 1000},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
    ],
    ids=str,
)
def test_a_wrong_header_is_refused(header: dict[str, Any]) -> None:
    # Given / When / Then
    assert refused(signed(header, claims()))


@checked
def test_the_type_may_be_written_in_full() -> None:
    # Given (RFC 9068, 4)
    token = signed({"typ": "application/at+JWT"}, claims())
    # When / Then
    assert tokens.verify_access_token(token).tenant == "acme"


def test_a_token_without_a_signature_is_refused() -> None:
    # Given alg=none, in the spellings that have got through elsewhere
    kid = key_ring().list_keys()[-1].kid
    for name in ("none", "None", "NONE", "nOnE"):
        header = {"alg": name, "typ": "at+jwt", "kid": kid}
        # When / Then
        assert refused(f"{encoded(header).decode()}.{encoded(claims()).decode()}.")


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    # Given a token signed by HMAC with the public key, as key confusion does
    key = key_ring().list_keys()[-1]
    for form in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1):
        pem = key.public.public_bytes(serialization.Encoding.PEM, form)
        for secret in (pem, pem.strip(), json.dumps(keys.public_jwks()).encode()):
            message = encoded({"alg": "HS256", "typ": "at+jwt", "kid": key.kid})
            message += b"." + encoded(claims())
            mac = hmac.new(secret, message, hashlib.sha256).digest()
            # When / Then
            assert refused((message + b"." + encoded(mac)).decode())


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c"])
def test_a_key_that_the_token_brings_along_is_not_looked_at(name: str) -> None:
    # Given a token signed by the attacker's key, which it names (JWKS poisoning)
    mine = rsa.generate_private_key(65537, 2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    brought: Any = {
        "jku": "http://127.0.0.1:1/jwks.json",
        "x5u": "http://127.0.0.1:1/key.pem",
        "jwk": jwk,
        "x5c": ["AAAA"],
    }[name]
    kid = key_ring().list_keys()[-1].kid
    for named in (kid, "mine"):
        token = jwt.encode(claims(), mine, "RS256", {"typ": "at+jwt", "kid": named, name: brought})
        # When / Then
        assert refused(token)


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_nobody_is_asked_for_the_key_that_a_token_names(name: str) -> None:
    # Given a token by the attacker's key, and his server, which would give that key away
    mine = rsa.generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key(), as_dict=True)
    document = json.dumps({"keys": [{**jwk, "kid": "mine", "use": "sig", "alg": "RS256"}]}).encode()
    asked: list[str] = []

    class KeySet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), KeySet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/keys"
            token = jwt.encode(claims(), mine, "RS256", {"typ": "at+jwt", "kid": "mine", name: url})
            # When / Then
            assert refused(token)
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


def test_an_id_token_is_no_access_token() -> None:
    # Given (token substitution, RFC 9700, 4.8)
    now = dt.datetime.now(dt.UTC)
    token = issue_id_token(ANN.principal, "datapunk", auth_time=now, nonce=None, session_id=None)
    # When / Then
    assert refused(token) == "This is another kind of token."


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 9000, "e30.e30.e30", "bnVsbA.e30.e30"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    # Given / When / Then
    assert refused(token)


def test_a_good_token_that_is_too_long_is_refused() -> None:
    # Given
    token = signed({}, claims(padding="x" * 8192))
    # When / Then
    assert "too long" in refused(token)


def test_a_changed_token_is_refused() -> None:
    # Given
    header, payload, signature = issue().split(".")
    more = json.loads(base64.urlsafe_b64decode(payload + "=="))
    more["scope"] = "read write admin"
    # When / Then
    assert refused(f"{header}.{encoded(more).decode()}.{signature}")


@pytest.fixture
def rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileKeyRing]:
    """Return a ring whose second key has signed for almost the whole overlap."""
    now = int(time.time())
    path = tmp_path / "keyring"
    ring = FileKeyRing(path)
    ring.add(now - 30 * 86_400)
    monkeypatch.setenv("KEY_RING", f"file:{path}")
    settings.cache_clear()
    yield ring
    settings.cache_clear()


@checked
def test_a_token_of_the_old_key_is_good_during_the_overlap_and_not_after(
    rotated: FileKeyRing,
) -> None:
    # Given
    token = issue()
    now = int(time.time())
    # When the next key has signed since a moment ago
    second = rotated.add(now - 60)
    # Then both are good
    assert tokens.verify_access_token(token)
    assert tokens.verify_access_token(issue())
    # When it has signed for longer than the overlap
    rotated.remove(str(second))
    rotated.add(now - keys.OVERLAP)
    # Then
    assert "not known" in refused(token)
