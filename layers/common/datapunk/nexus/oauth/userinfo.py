"""The UserInfo endpoint (OpenID Connect Core, 5.3): what the scopes of a token let a client know."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from datapunk.identity import SYSTEM
from datapunk.nexus.tokens import read_access_token
from datapunk.nexus.users import find_user

_USER = "user:"


def bearer_token(authorization: str | None) -> str:
    """Return the token of an `Authorization` header. Raises UnauthenticatedError without one."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("Send an access token: Authorization: Bearer ...")
    return token.strip()


def userinfo(authorization: str | None) -> dict[str, Any]:
    """Return the claims about the user of an access token.

    Raises UnauthenticatedError without a valid token, ForbiddenError when it lacks the scope `openid` or
    is no user's.
    """
    caller = read_access_token(bearer_token(authorization)).caller
    if "openid" not in caller.scopes or not caller.principal.startswith(_USER):
        raise ForbiddenError("The token has no scope openid.")
    claims: dict[str, Any] = {"sub": caller.principal}
    try:
        with transaction(SYSTEM) as tx:
            user = find_user(tx, UUID(caller.principal.removeprefix(_USER)))
    except NotFoundError:
        raise UnauthenticatedError("The user of the token is gone.") from None
    if "profile" in caller.scopes:
        claims |= {"name": user.name, "updated_at": int(user.updated_at.timestamp())}
    if "email" in caller.scopes:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    return claims
