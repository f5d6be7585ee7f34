"""OpenID Connect providers: discovery, the code's exchange, and the ID token's proof."""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datapunk.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from datapunk.nexus.federation.fetching import RefusedError, fetch
from datapunk.nexus.federation.identity import ProvidedIdentity
from datapunk.nexus.federation.providers import Provider

if TYPE_CHECKING:  # the library is imported when a token comes
    from jwt import PyJWK

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures only a provider can make. A token signed with a shared secret, or not at all, is refused."""

LEEWAY = 5
LONGEST_TOKEN = 16 * 1024
_FRESH_SECONDS = 3600.0
_ENDPOINT = re.compile(r"(https://|http://(localhost|127\.0\.0\.1)[:/])[^\s#]+\Z")


@dataclass(slots=True)
class _Known:
    """What a provider publishes of itself, as of some moment."""

    metadata: dict[str, Any]
    read_at: float
    keys: dict[str, Any] = field(default_factory=dict)


_known: dict[str, _Known] = {}
"""By issuer; an hour old at most."""


def authorization_endpoint(provider: Provider) -> str:
    """Return where people sign in at the provider. Raises UnavailableError, ConfigurationError."""
    return str(_discover(provider).metadata["authorization_endpoint"])


def names_itself(provider: Provider) -> bool:
    """Tell whether the provider promises to send `iss` with each answer (RFC 9207)."""
    promised = _discover(provider).metadata.get("authorization_response_iss_parameter_supported")
    return promised is True


def identify(provider: Provider, *, code: str, verifier: str, nonce: str) -> ProvidedIdentity:
    """Exchange an authorization code and return whom the ID token names.

    Raises UnauthenticatedError unless the provider takes the code and the token is its own, for us, in its
    time and of this very sign-in; UnavailableError when the provider does not answer.
    """
    endpoint = str(_discover(provider).metadata["token_endpoint"])
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": provider.redirect_uri,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret.get_secret_value(),
        "code_verifier": verifier,
    }
    try:
        answer = fetch(provider.name, endpoint, form=form)
    except RefusedError as error:
        raise UnauthenticatedError(f"{provider.label} did not accept the sign-in.") from error
    token = answer.get("id_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
        raise _refused(provider)
    claims = _verify(provider, token)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _refused(provider)
    return ProvidedIdentity(
        provider=provider.name,
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        email=str(claims.get("email") or "").lower(),
        # Some providers send the text "true"; anything else is no.
        email_verified=claims.get("email_verified") is True
        or claims.get("email_verified") == "true",
        name=str(claims.get("name") or ""),
    )


def forget() -> None:
    """Ask every provider anew at the next use."""
    _known.clear()


def _verify(provider: Provider, token: str) -> dict[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise _refused(provider)
        claims: dict[str, Any] = jwt.decode(
            token,
            _key(provider, header.get("kid"), str(header["alg"])),
            algorithms=list(ALGORITHMS),
            issuer=provider.issuer,
            audience=provider.client_id,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.PyJWTError as error:
        raise _refused(provider) from error
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp", provider.client_id if len(audiences) == 1 else None)
    if party != provider.client_id:
        raise _refused(provider)
    return claims


def _key(provider: Provider, kid: Any, algorithm: str) -> PyJWK:
    """Return the provider's key of that id. Keys and addresses inside the token are never looked at."""
    from jwt import PyJWK

    known = _discover(provider)
    for fresh in (False, True):
        if fresh or not known.keys:
            known.keys = _read_keys(provider, str(known.metadata["jwks_uri"]))
        fitting = [
            item
            for item in known.keys.get("keys", ())
            if item.get("kid") == kid
            and item.get("use", "sig") == "sig"
            and item.get("alg", algorithm) == algorithm
        ]
        if fitting:
            return PyJWK(fitting[0], algorithm=algorithm)
    raise _refused(provider)


def _read_keys(provider: Provider, url: str) -> dict[str, Any]:
    try:
        answer = fetch(provider.name, url)
    except RefusedError as error:
        raise UnavailableError(provider.name) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("keys"), list):
        raise UnavailableError(provider.name)
    return answer


def _discover(provider: Provider) -> _Known:
    """Return the provider's metadata (OpenID Connect Discovery 1.0, 4), an hour old at most."""
    known = _known.get(provider.issuer)
    if known is not None and time.monotonic() - known.read_at < _FRESH_SECONDS:
        return known
    url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        metadata = fetch(provider.name, url)
    except RefusedError as error:
        raise UnavailableError(provider.name) from error
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if not isinstance(metadata, dict) or metadata.get("issuer") != provider.issuer:
        # Another issuer's metadata would let it answer for this one (RFC 8414, 3.3).
        raise ConfigurationError(f"{url} does not describe the issuer {provider.issuer}.")
    if not all(_ENDPOINT.match(str(metadata.get(name, ""))) for name in needed):
        raise ConfigurationError(f"{url} lacks an address, or has one without encryption.")
    _known[provider.issuer] = _Known(metadata, time.monotonic())
    return _known[provider.issuer]


def _refused(provider: Provider) -> UnauthenticatedError:
    return UnauthenticatedError(f"What {provider.label} answered does not prove who you are.")
