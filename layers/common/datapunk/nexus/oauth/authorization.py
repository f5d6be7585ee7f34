"""The authorization endpoint (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2): a code for a signed-in user."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit, urlunsplit

from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.clients import GrantType, OAuthClient, find_client
from datapunk.nexus.oauth.grants import issue_code
from datapunk.nexus.oauth.parameters import OWN_SCOPES, read_query, requested_scopes, required
from datapunk.nexus.roles import scopes_of
from datapunk.nexus.sessions import read_session
from datapunk.nexus.users import find_caller
from datapunk.oauth.errors import OAuthError
from datapunk.settings import settings

AUTHORIZE_PATH = "/v1/nexus/oauth/authorize"
SIGN_IN_PATH = "/v1/nexus/sign-in"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_LOOPBACK = ("127.0.0.1", "::1")
_MAX_TEXT = 2048
_MAX_RETURN = 4096
"""What the sign-in page takes as the way back."""


def authorize(query: Mapping[str, Sequence[str]], cookie: str | None) -> str:
    """Return the address to send the browser to: the client's with a code or an error, or our sign-in.

    Raises OAuthError when nothing proves that the address is the client's: then the user is told and
    sent nowhere (RFC 9700, 4.11.2).
    """
    parameters = read_query(query)
    client = _known_client(required(parameters, "client_id"))
    redirect_uri = _registered(client, required(parameters, "redirect_uri"))
    state = parameters.get("state")
    try:
        answer = _granted(client, parameters, redirect_uri, cookie)
    except OAuthError as error:
        answer = error.as_dict()
    if answer is None:
        # Having signed in anew answers `prompt=login`; asked again, it would never end.
        again = {name: value for name, value in parameters.items() if name != "prompt"}
        return_to = f"{AUTHORIZE_PATH}?{urlencode(again)}"
        if len(return_to) > _MAX_RETURN:
            raise OAuthError("invalid_request", "The request is too long: shorten state and nonce.")
        return f"{settings().issuer}{SIGN_IN_PATH}?{urlencode({'return_to': return_to})}"
    # Which server answers, against mix-up (RFC 9207).
    answer |= {"iss": settings().issuer} | ({"state": state} if state is not None else {})
    return with_parameters(redirect_uri, answer)


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return the URI with parameters added to its query, which is kept as it is."""
    parts = urlsplit(uri)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit(parts._replace(query=query))


def _known_client(client_id: str) -> OAuthClient:
    with transaction(SYSTEM) as tx:
        client = find_client(tx, client_id)
    if client is None:
        raise OAuthError("invalid_request", "There is no such client.")
    return client


def _registered(client: OAuthClient, redirect_uri: str) -> str:
    """Return the URI if it is registered, character by character.

    Only the port of a loopback address is the app's choice at run time (RFC 8252, 7.3).
    """
    registered = client.redirect_uris
    if redirect_uri not in registered and _without_port(redirect_uri) not in registered:
        raise OAuthError("invalid_request", "The redirect URI is not registered for the client.")
    return redirect_uri


def _without_port(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or port is None:
        return None
    suffix = f":{port}"
    if not parts.netloc.endswith(suffix) or "@" in parts.netloc:
        return None
    # Not put together again by a library, which might mend what is not registered.
    before, _, after = uri.partition(suffix)
    return before + after


def _granted(
    client: OAuthClient, parameters: Mapping[str, str], redirect_uri: str, cookie: str | None
) -> dict[str, str] | None:
    """Return the parameters of a success, None when the user must sign in first."""
    challenge = _challenge(client, parameters)
    scopes = requested_scopes(parameters.get("scope"), client.scopes)
    session = read_session(cookie) if cookie else None
    prompts = parameters.get("prompt", "").split()
    too_old = session is not None and _too_old(parameters, session.started_at.timestamp())
    if session is None or too_old or "login" in prompts:
        if "none" in prompts:
            raise OAuthError("login_required", "The user is not signed in.")
        return None
    with transaction(SYSTEM) as tx:
        user = find_caller(tx, session.user_id)
        if user is None:
            raise OAuthError("access_denied", "The user may not sign in.")
        if user.tenant != client.tenant:
            raise OAuthError("access_denied", "The client is none of the user's tenant.")
        held = scopes_of(user.roles)
        code = issue_code(
            tx,
            client,
            user,
            # What works while the user is away does not end with his session.
            session_id=None if "offline_access" in scopes else session.id,
            auth_time=session.started_at,
            # Nobody grants what he does not have.
            scopes=[scope for scope in scopes if scope not in OWN_SCOPES or scope in held],
            redirect_uri=redirect_uri,
            challenge=challenge,
            nonce=parameters.get("nonce"),
        )
    return {"code": code}


def _challenge(client: OAuthClient, parameters: Mapping[str, str]) -> str:
    """Check what every request of the code flow must have; return the PKCE challenge."""
    if parameters.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "Only response_type=code is offered.")
    client.require(GrantType.AUTHORIZATION_CODE)
    for name in ("request", "request_uri", "registration"):
        if name in parameters:
            raise OAuthError(f"{name}_not_supported", "Send plain parameters.")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "Only response_mode=query is offered.")
    if parameters.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "PKCE is required: code_challenge_method=S256.")
    challenge = parameters.get("code_challenge", "")
    if not _CHALLENGE.match(challenge):
        raise OAuthError("invalid_request", "code_challenge is not a SHA-256 digest in base64url.")
    if any(len(parameters.get(name, "")) > _MAX_TEXT for name in ("state", "nonce")):
        raise OAuthError("invalid_request", f"state and nonce have {_MAX_TEXT} characters at most.")
    return challenge


def _too_old(parameters: Mapping[str, str], started_at: float) -> bool:
    """Tell whether the client wants the user to have signed in more recently (`max_age`, seconds)."""
    given = parameters.get("max_age")
    if given is None:
        return False
    if not _SECONDS.match(given):
        raise OAuthError("invalid_request", "max_age is not a number of seconds.")
    return time.time() - started_at > int(given)
