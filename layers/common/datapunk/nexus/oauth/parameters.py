"""Parameters of OAuth requests: each at most once (RFC 6749, 3.1 and 3.2), empty ones left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from datapunk import forms
from datapunk.errors import MalformedRequestError
from datapunk.oauth.errors import OAuthError

OWN_SCOPES = ("read", "write", "admin")
OPENID_SCOPES = ("openid", "profile", "email", "offline_access")
SCOPES = (*OWN_SCOPES, *OPENID_SCOPES)
_MAX_VALUE = 16 * 1024


def _parameter(
    name: str, description: str, example: str, *, needed: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": needed,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
AUTHORIZATION_PARAMETERS = (
    _parameter("response_type", "`code`.", "code", needed=True),
    _parameter("client_id", "The client's id.", "dashboard", needed=True),
    _parameter("redirect_uri", "As registered.", "https://app.example.com/callback", needed=True),
    _parameter("code_challenge", "SHA-256 of the verifier (PKCE).", _CHALLENGE, needed=True),
    _parameter("code_challenge_method", "`S256`.", "S256", needed=True),
    _parameter("scope", "Scopes, separated by spaces.", "openid read"),
    _parameter("state", "Comes back as it is.", "af0ifjsldkj"),
    _parameter("nonce", "Stands in the ID token.", "n-0S6_WzA2Mj"),
    _parameter("prompt", "`none` or `login`.", "login"),
    _parameter("max_age", "Seconds since the user signed in, at most.", "3600"),
)
LOGOUT_PARAMETERS = (
    _parameter("id_token_hint", "An ID token of the session.", "eyJhbGciOi...", needed=True),
    _parameter("client_id", "The client the ID token is for.", "dashboard"),
    _parameter("post_logout_redirect_uri", "As registered.", "https://app.example.com/signed-out"),
    _parameter("state", "Comes back as it is.", "af0ifjsldkj"),
)


def read_form(content: bytes) -> dict[str, str]:
    """Return the parameters of a form. Raises OAuthError `invalid_request` for a malformed one."""
    try:
        fields = forms.read_form(content)
    except MalformedRequestError as error:
        raise OAuthError("invalid_request", error.detail) from None
    return _once(fields.items())


def read_query(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the parameters of a query. Raises OAuthError `invalid_request` when one is repeated."""
    return _once((name, value) for name, values in query.items() for value in values)


def required(parameters: Mapping[str, str], name: str) -> str:
    """Return a parameter. Raises OAuthError `invalid_request` when it is missing."""
    try:
        return parameters[name]
    except KeyError:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.") from None


def requested_scopes(text: str | None, allowed: Collection[str]) -> tuple[str, ...]:
    """Return the scopes asked for, all that are allowed when none are named.

    Raises OAuthError `invalid_scope` when one is unknown or not allowed: a client is told, not given less.
    """
    if text is None:
        return tuple(allowed)
    asked = dict.fromkeys(text.split())
    refused = [scope for scope in asked if scope not in SCOPES or scope not in allowed]
    if refused or not asked:
        raise OAuthError("invalid_scope", "A scope is unknown or more than may be given here.")
    return tuple(asked)


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", "A parameter is given twice.")
        if "\x00" in value or len(value) > _MAX_VALUE:
            raise OAuthError("invalid_request", "A parameter's value cannot be read.")
        found[name] = value
    # A parameter without a value counts as left out.
    return {name: value for name, value in found.items() if value}
