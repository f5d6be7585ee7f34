"""A provider to sign in with, in a process of its own: OpenID Connect, and GitHub's dialect beside it.

`python -m tests.support.identity_provider` prints its address and serves on loopback until its input ends.
Whoever comes to the authorization endpoint is signed in at once, as the person that `PUT /person` described.
`PUT /faults` has it misbehave, `GET /seen` tells what it was sent. It checks what a strict provider checks:
client, redirect address, single use of codes, PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "datapunk-test"
CLIENT_SECRET = "the-client's-secret"
KEY_ID = "key-1"


class Provider:
    """What the provider knows: its keys, one person, the codes and tokens it has given."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.foreign_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.issuer = ""
        self.person: dict[str, Any] = {}
        self.faults: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.seen: list[dict[str, Any]] = []

    def jwks(self) -> dict[str, Any]:
        """Return the public key."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def metadata(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
            **self.faults.get("metadata", {}),
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes with a code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": query.get("state", ""), "iss": self.issuer}
        answer |= self.faults.get("answer", {})
        kept = {name: value for name, value in answer.items() if value is not None}
        return f"{query['redirect_uri']}?{urlencode(kept)}"

    def redeem(self, form: dict[str, str]) -> dict[str, str] | None:
        """Return the request that a code belongs to, or None unless everything about it is right."""
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        right = (
            asked is not None
            and form.get("client_id") == CLIENT_ID == asked.get("client_id")
            and form.get("client_secret") == CLIENT_SECRET
            and form.get("redirect_uri") == asked.get("redirect_uri")
            and asked.get("code_challenge_method") == "S256"
            and asked.get("code_challenge") == challenge
        )
        return asked if right else None

    def id_token(self, asked: dict[str, str]) -> str:
        """Return the ID token, with what the faults say is wrong in it."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce"),
            **self.person,
            **self.faults.get("claims", {}),
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": KEY_ID, **self.faults.get("header", {})}
        fault = self.faults.get("signature")
        if fault == "none":
            return jwt.encode(claims, "", algorithm="none", headers=headers)
        if fault == "shared":
            return _signed_with_public_key(claims, headers, self.key.public_key())
        key = self.foreign_key if fault == "foreign" else self.key
        return jwt.encode(claims, key, algorithm="RS256", headers=headers)


def _signed_with_public_key(
    claims: dict[str, Any], headers: dict[str, Any], key: rsa.RSAPublicKey
) -> str:
    """Return a token whose shared secret is what everybody knows; no library would make one."""
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    parts = [{"alg": "HS256", "typ": "JWT", **headers}, claims]
    signed = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return b".".join((signed, _base64(hmac.digest(pem, signed, "sha256")))).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Handler(BaseHTTPRequestHandler):
    """Routes of both dialects, and the test's own."""

    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/seen":
            self.provider.seen.append({"path": parts.path, **query})
        if parts.path in ("/authorize", "/login/oauth/authorize"):
            self._redirect(self.provider.authorize(query))
        elif parts.path == "/.well-known/openid-configuration":
            self._answer(self.provider.metadata())
        elif parts.path == "/jwks":
            self._answer(self.provider.jwks())
        elif parts.path == "/seen":
            self._answer(self.provider.seen)
        elif parts.path in ("/api/user", "/api/user/emails"):
            self._github(parts.path)
        else:
            self._answer({"message": "Not Found"}, 404)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[-1] for name, values in parse_qs(content).items()}
        self.provider.seen.append({"path": self.path})
        asked = self.provider.redeem(form)
        if status := self.provider.faults.get("status"):
            self._answer({}, status)
        elif self.path == "/token":
            if asked is None:
                self._answer({"error": "invalid_grant"}, 400)
            else:
                token = self.provider.id_token(asked)
                self._answer({"access_token": "a", "token_type": "Bearer", "id_token": token})
        elif asked is None:
            # GitHub says so with 200.
            self._answer({"error": "bad_verification_code"})
        else:
            token = secrets.token_urlsafe(16)
            self.provider.tokens.add(token)
            self._answer({"access_token": token, "token_type": "bearer", "scope": "user:email"})

    def do_PUT(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/person":
            self.provider.person = document
        else:
            self.provider.faults = document
        self._answer({})

    def _github(self, path: str) -> None:
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        person = self.provider.person
        if token not in self.provider.tokens:
            self._answer({"message": "Bad credentials"}, 401)
        elif path == "/api/user":
            names = ("id", "login", "name", "email")
            self._answer({name: person[name] for name in names if name in person})
        else:
            self._answer(person.get("emails", []))

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, document: Any, status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until standard input ends, as it does when the test's process does."""
    provider = Provider()
    handler = type("Bound", (Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        sys.stdout.write(f"{provider.issuer}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
