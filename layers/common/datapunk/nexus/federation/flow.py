"""The way to a provider and back: authorization code with PKCE, state, nonce (RFC 9700, 2.1).

What belongs to one sign-in lies in Redis for ten minutes under the state's digest and is taken out by the
first who comes back with it. The browser that began must bring it: a cookie holds the state too. The record
names the provider, and the answer is read at that provider's own address only, so that no other provider
can have its code sent there (mix-up).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from datapunk.cache import client, translated
from datapunk.errors import ForbiddenError, MalformedRequestError, UnauthenticatedError
from datapunk.nexus.federation import github, oidc
from datapunk.nexus.federation.identity import ProvidedIdentity
from datapunk.nexus.federation.providers import Provider
from datapunk.oauth.pkce import challenge_of

COOKIE = "sign-in"
SECONDS = 600
_LONGEST_CODE = 4096


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: where to send the browser, and the state that it must bring back."""

    location: str
    state: str


def begin(provider: Provider, return_to: str) -> Begun:
    """Begin a sign-in that ends at `return_to`, a path of ours.

    Raises UnavailableError when the provider or Redis does not answer.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    parameters = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": provider.redirect_uri,
        "scope": provider.scope,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    if provider.dialect == "github":
        endpoint = github.authorization_endpoint(provider)
    else:
        endpoint = oidc.authorization_endpoint(provider)
        parameters["nonce"] = nonce
    record = {
        "provider": provider.name,
        "issuer": provider.issuer,
        "nonce": nonce,
        "verifier": verifier,
        "return_to": return_to,
    }
    with translated():
        client().set(_key(state), orjson.dumps(record), ex=SECONDS)
    separator = "&" if "?" in endpoint else "?"
    return Begun(f"{endpoint}{separator}{urlencode(parameters)}", state)


def complete(
    provider: Provider, answer: Mapping[str, str], kept_state: str | None
) -> tuple[ProvidedIdentity, str]:
    """Return whom the provider's answer names, and where the sign-in was to lead.

    `kept_state` is what the browser's cookie holds. Raises ForbiddenError when the answer belongs to no
    sign-in of this browser and provider, UnauthenticatedError when the provider or its proof says no.
    """
    state = answer.get("state", "")
    if not kept_state or not hmac.compare_digest(state.encode(), kept_state.encode()):
        raise ForbiddenError("This sign-in was not begun in this browser: begin again.")
    with translated():
        stored = client().getdel(_key(state))
    if stored is None:
        raise ForbiddenError("This sign-in is over or too old: begin again.")
    record = orjson.loads(stored)
    if (record["provider"], record["issuer"]) != (provider.name, provider.issuer):
        raise ForbiddenError("The answer came from another provider than the one asked.")
    _check_issuer(provider, answer.get("iss"))
    if "error" in answer:
        raise UnauthenticatedError(f"{provider.label} did not sign you in.")
    code = answer.get("code", "")
    if not 0 < len(code) <= _LONGEST_CODE:
        raise MalformedRequestError("The provider's answer has no code.")
    if provider.dialect == "github":
        identity = github.identify(provider, code=code, verifier=record["verifier"])
    else:
        nonce, verifier = record["nonce"], record["verifier"]
        identity = oidc.identify(provider, code=code, verifier=verifier, nonce=nonce)
    return identity, str(record["return_to"])


def _check_issuer(provider: Provider, named: str | None) -> None:
    """Raise ForbiddenError when the answer names another issuer, or none where one was promised."""
    if named is None and (provider.dialect == "github" or not oidc.names_itself(provider)):
        return
    if named != provider.issuer:
        raise ForbiddenError("The answer came from another provider than the one asked.")


def _key(state: str) -> str:
    return f"sign-in:state:{hashlib.sha256(state.encode()).hexdigest()}"
