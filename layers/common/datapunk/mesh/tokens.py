"""Tokens for calls that leave AWS: the caller's own, exchanged for one that names this service and can less.

Source: RFC 8693 (token exchange), RFC 6749, 4.4 (a service on its own behalf).
"""

from __future__ import annotations

import base64
import hashlib
import time
from urllib.parse import quote, urlencode

import orjson

from datapunk.context import current
from datapunk.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from datapunk.identity import Caller
from datapunk.mesh.wire import post
from datapunk.settings import settings

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- the name of a kind
_PATH = "/v1/nexus/oauth/token"
_SPARE = 30.0
"""Seconds before its end that a token is used no more."""
_MOST = 256
_OK = 200
_SERVER_ERROR = 500
_held: dict[str, tuple[str, float]] = {}
"""Tokens and until when they are used, by a digest of what they were exchanged for."""


def bearer(caller: Caller, timeout: float) -> str:
    """Return the `Authorization` of a call for `caller`, which takes `timeout` seconds at most.

    Raises UnauthenticatedError when the caller came without a token to exchange, ConfigurationError when
    this service has no client, UnavailableError when no token is issued for now.
    """
    work = current()
    subject = work.token if work is not None and work.caller.principal == caller.principal else ""
    own = not subject and caller.principal.startswith(("service:", "client:"))
    if not subject and not own:
        raise UnauthenticatedError(
            "The call leaves AWS, and its caller came without an access token to exchange."
        )
    name = hashlib.sha256(f"{subject} {caller.scopes}".encode()).hexdigest()
    now = time.monotonic()
    if name in _held and _held[name][1] > now:
        return f"Bearer {_held[name][0]}"
    token, lifetime = _ask(subject, caller.scopes, timeout)
    if len(_held) >= _MOST:
        _held.clear()
    _held[name] = (token, now + lifetime - _SPARE)
    return f"Bearer {token}"


def forget() -> None:
    """Forget every token."""
    _held.clear()


def _ask(subject: str, scopes: tuple[str, ...], timeout: float) -> tuple[str, float]:
    """Return a token and its life in seconds."""
    client = settings().client()
    if client is None:
        raise ConfigurationError("MESH_CLIENT is not set: calls that leave AWS need a client.")
    try:
        document = orjson.loads(client)
        pair = (
            f"{quote(document['client_id'], safe='')}:{quote(document['client_secret'], safe='')}"
        )
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            "MESH_CLIENT is not JSON with client_id and client_secret."
        ) from None
    form = {"grant_type": "client_credentials"}
    if subject:
        form = {
            "grant_type": _EXCHANGE,
            "subject_token": subject,
            "subject_token_type": _ACCESS_TOKEN,
        }
    if scopes:
        form["scope"] = " ".join(scopes)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
    }
    url = settings().issuer + _PATH
    answer = post(url, urlencode(form).encode(), headers, timeout, "nexus")
    if answer.status >= _SERVER_ERROR:
        raise UnavailableError("nexus")
    if answer.status != _OK:
        raise UnauthenticatedError("No token is issued for the call.")
    said = orjson.loads(answer.data)
    return str(said["access_token"]), float(said["expires_in"])
