"""Access tokens: JWTs after RFC 9068, good on every module for 15 minutes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import jwt
from pydantic import (
    BaseModel,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import CoreSchema

from datapunk.errors import ForbiddenError, UnauthenticatedError
from datapunk.identity import ANONYMOUS, SYSTEM, Caller
from datapunk.nexus import keys
from datapunk.nexus.revocations import grant_subject, is_revoked, token_subject
from datapunk.nexus.sessions import is_live
from datapunk.settings import settings

AUDIENCE = "datapunk"
TYPE = "at+jwt"
LIFETIME = 900
LEEWAY = 5
MAX_BYTES = 8 * 1024
MAX_ACTORS = 5
"""Hops that a request may be handed on."""
_REQUIRED = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "tenant"]
_MAX_KID = 128


class IssuedToken(BaseModel):
    """An answer of the token endpoint (RFC 6749, 5.1; RFC 8693, 2.2.1); `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- the name of a kind
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None
    issued_token_type: str | None = None

    @model_serializer(mode="wrap")
    def _without_nulls(self, serialize: SerializerFunctionWrapHandler) -> Any:
        """Leave out what was not issued: to OAuth's clients null is a value."""
        members = serialize(self)
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the members as declared: what the serializer makes of them cannot be seen."""
        declared = {name: part for name, part in core_schema.items() if name != "serialization"}
        return handler(cast("CoreSchema", declared))


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified access token says. Times are in seconds since the epoch."""

    caller: Caller
    client_id: str
    token_id: str
    issued_at: int
    expires_at: int
    session: str | None = None
    grant: str | None = None
    ancestors: tuple[str, ...] = ()
    """Ids of the tokens it was exchanged for, the first one first."""
    claims: Mapping[str, Any] | None = None


def issue_access_token(  # noqa: PLR0913 -- all that a token says
    caller: Caller,
    *,
    client_id: str,
    scopes: Sequence[str],
    session: str | None = None,
    actor: str | None = None,
    grant: str | None = None,
    parent: AccessToken | None = None,
    lifetime: int = LIFETIME,
) -> IssuedToken:
    """Return an access token for `caller` with exactly these scopes.

    `actor` joins the chain of those who act for the caller. It lives for `lifetime` seconds and ends with the
    `session`, the `grant` or the `parent` token it descends from. Raises ForbiddenError for a caller that no
    token may name, or a chain of more than five actors.
    """
    if caller.tenant == SYSTEM.tenant or caller.principal in (ANONYMOUS, SYSTEM.principal):
        raise ForbiddenError("No token names the platform itself or nobody.")
    actors = (*caller.actors, *((actor,) if actor else ()))
    if len(actors) > MAX_ACTORS:
        raise ForbiddenError(f"A request is handed on {MAX_ACTORS} times at most.")
    now = int(time.time())
    lifetime = min(lifetime, LIFETIME)
    expires = min(now + lifetime, parent.expires_at if parent else now + lifetime)
    claims: dict[str, Any] = {
        "iss": settings().issuer,
        "sub": caller.principal,
        "aud": AUDIENCE,
        "exp": expires,
        "iat": now,
        "nbf": now,
        "jti": secrets.token_urlsafe(16),
        "client_id": client_id,
        "scope": " ".join(scopes),
        "tenant": caller.tenant,
        "roles": list(caller.roles),
    }
    if chain := _nested(actors):
        claims["act"] = chain
    if parent:
        claims["ancestors"] = [*parent.ancestors, parent.token_id]
    if session := session or (parent.session if parent else None):
        claims["sid"] = session
    if grant := grant or (parent.grant if parent else None):
        claims["grant"] = grant
    token = keys.sign(claims, typ=TYPE)
    return IssuedToken(access_token=token, expires_in=expires - now, scope=claims["scope"])


def verify_access_token(token: str) -> Caller:
    """Return whom an access token speaks for.

    Raises UnauthenticatedError unless it is ours, of the right kind, for us, in its time and not revoked;
    UnavailableError when that cannot be checked.
    """
    return read_access_token(token).caller


def read_access_token(token: str) -> AccessToken:
    """Return everything a valid access token says; see `verify_access_token`."""
    claims = read_signed(token, typ=TYPE, audience=AUDIENCE, required=_REQUIRED)
    found = _access_token(claims)
    tokens = (found.token_id, *found.ancestors)
    subjects = [*map(token_subject, tokens), found.caller.principal]
    if found.grant:
        subjects.append(grant_subject(found.grant))
    if is_revoked(subjects, issued_at=found.issued_at):
        raise UnauthenticatedError("The access token was revoked.")
    if found.session and not is_live(found.session):
        raise UnauthenticatedError("The session of the access token has ended.")
    return found


def read_signed(
    token: str,
    *,
    typ: str,
    audience: str | None,
    required: Sequence[str],
    expired: bool = False,
) -> dict[str, Any]:
    """Return the claims of a JWT of ours. Raises UnauthenticatedError unless all of it is right.

    The key is found by `kid` among our own and by nothing else the token says (`jku`, `jwk`, `x5u`);
    `alg` must be the one our keys are for. With `expired`, an expired one is good too; without an
    audience any is.
    """
    if len(token) > MAX_BYTES or not token.isascii():
        raise UnauthenticatedError("The token is too long to be one of ours.")
    try:
        header = jwt.get_unverified_header(token)
        public = _key_for(header, typ)
        claims: dict[str, Any] = jwt.decode(
            token,
            public,
            algorithms=[keys.ALGORITHM],
            audience=audience,
            issuer=settings().issuer,
            leeway=LEEWAY,
            options={
                "require": list(required),
                "verify_aud": audience is not None,
                "verify_exp": not expired,
            },
        )
    except jwt.ExpiredSignatureError:
        raise UnauthenticatedError("The token has expired.") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        # What exactly is wrong helps only those who try.
        raise UnauthenticatedError("The token is not valid.") from None
    return claims


def _key_for(header: Mapping[str, Any], typ: str) -> Any:
    kid, given = header.get("kid"), str(header.get("typ", "")).lower()
    if header.get("alg") != keys.ALGORITHM or "crit" in header:
        raise UnauthenticatedError("The token is not valid.")
    if given.removeprefix("application/") != typ.lower():
        raise UnauthenticatedError("This is another kind of token.")
    if not isinstance(kid, str) or len(kid) > _MAX_KID:
        raise UnauthenticatedError("The token is not valid.")
    public = keys.find_key(kid)
    if public is None:
        raise UnauthenticatedError("The token's key is not known here.")
    return public


def _access_token(claims: dict[str, Any]) -> AccessToken:
    names = ("sub", "jti", "client_id", "scope", "tenant")
    roles, ancestors = claims.get("roles", []), claims.get("ancestors", [])
    optional = [claims.get(name, "") for name in ("sid", "grant")]
    texts = [*(claims[name] for name in names), *optional]
    if not isinstance(roles, list) or not isinstance(ancestors, list):
        raise UnauthenticatedError("The token is not valid.")
    if not all(isinstance(text, str) for text in (*texts, *roles, *ancestors)):
        raise UnauthenticatedError("The token is not valid.")
    caller = Caller(
        principal=claims["sub"],
        tenant=claims["tenant"],
        roles=tuple(roles),
        scopes=tuple(claims["scope"].split()),
        actors=_chain(claims.get("act")),
        valid_until=float(claims["exp"]),
    )
    if not caller.principal or not caller.tenant or caller.tenant == SYSTEM.tenant:
        raise UnauthenticatedError("The token is not valid.")
    return AccessToken(
        caller=caller,
        client_id=claims["client_id"],
        token_id=claims["jti"],
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
        session=claims.get("sid"),
        grant=claims.get("grant"),
        ancestors=tuple(ancestors),
        claims=claims,
    )


def _nested(actors: Sequence[str]) -> dict[str, Any]:
    """Return the chain as RFC 8693, 4.1 writes it: the current actor outside, earlier ones within."""
    chain: dict[str, Any] = {}
    for actor in actors:
        chain = {"sub": actor, "act": chain} if chain else {"sub": actor}
    return chain


def _chain(act: Any) -> tuple[str, ...]:
    """Return the actors of an `act` claim, the nearest last."""
    found: list[str] = []
    while act is not None:
        if not isinstance(act, dict) or not isinstance(act.get("sub"), str):
            raise UnauthenticatedError("The token is not valid.")
        found.append(act["sub"])
        if len(found) > MAX_ACTORS:
            raise UnauthenticatedError("The token is not valid.")
        act = act.get("act")
    return tuple(reversed(found))
