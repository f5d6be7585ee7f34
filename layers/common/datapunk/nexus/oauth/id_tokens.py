"""ID tokens (OpenID Connect Core, 2): who signed in, told to one client; no key to any API."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from datapunk.errors import UnauthenticatedError
from datapunk.nexus import keys
from datapunk.nexus.tokens import LIFETIME, read_signed
from datapunk.settings import settings

TYPE = "JWT"


def issue_id_token(
    principal: str,
    client_id: str,
    *,
    auth_time: datetime,
    nonce: str | None,
    session_id: str | None,
) -> str:
    """Return a signed ID token for `client_id`."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": settings().issuer,
        "sub": principal,
        "aud": client_id,
        "exp": now + LIFETIME,
        "iat": now,
        "auth_time": int(auth_time.timestamp()),
    }
    if nonce:
        claims["nonce"] = nonce
    if session_id:
        claims["sid"] = session_id
    return keys.sign(claims, typ=TYPE)


def read_id_token_hint(token: str) -> dict[str, Any] | None:
    """Return the claims of an ID token that was ours, also when it has expired; None for any other."""
    required = ["iss", "sub", "aud", "exp", "iat"]
    try:
        return read_signed(token, typ=TYPE, audience=None, required=required, expired=True)
    except UnauthenticatedError:
        return None
