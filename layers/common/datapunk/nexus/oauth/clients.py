"""OAuth clients: who may ask for tokens, how they prove themselves, where answers may go.

A client belongs to a tenant; registering it is its administrator's consent for the tenant's users.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote_plus, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, field_validator, model_validator

from datapunk.database import Row, Transaction, load_queries, transaction
from datapunk.errors import ConflictError, FieldError
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.oauth.parameters import OWN_SCOPES
from datapunk.nexus.roles import Role, assign_role, roles_of
from datapunk.oauth.errors import OAuthError
from datapunk.paging import Page, decode_cursor, encode_cursor

Scope = Literal["read", "write", "admin", "openid", "profile", "email", "offline_access"]
_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.oauth_clients"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ROLES = {"read": Role.VIEWER, "write": Role.EDITOR, "admin": Role.ADMIN}
"""The role under which a client may use a scope in its own name."""


class GrantType(StrEnum):
    """A way to a token. Others (implicit, password) are not offered: OAuth 2.1 has removed them."""

    AUTHORIZATION_CODE = "authorization_code"
    CLIENT_CREDENTIALS = "client_credentials"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 -- the name of a grant type
    TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 -- the same


def _redirect_uri(value: str) -> str:
    """Accept an absolute https URI without a fragment; http only for this machine (RFC 8252, 7.3)."""
    try:
        parts = urlsplit(value)
        on_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
        has_port = parts.port != 0  # raises when it is no number
    except ValueError:
        raise ValueError("is not a URI") from None
    if not value.isascii() or not value.isprintable() or set(value) & set(" *\\<>\"'`{}|^"):
        raise ValueError("has a character that stands in no redirect URI")
    if (
        parts.fragment
        or value.endswith("#")
        or "@" in parts.netloc
        or not (parts.hostname and has_port)
    ):
        raise ValueError("must be absolute, without user and fragment")
    if parts.scheme != "https" and not on_loopback:
        raise ValueError("must begin with https:// (http:// only on the loopback interface)")
    return value


class ClientRegistration(BaseModel):
    """What a client is registered with."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Weather station",
                    "grant_types": ["client_credentials"],
                    "scopes": ["read", "write"],
                }
            ]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    grant_types: Annotated[list[GrantType], Field(min_length=1, max_length=4)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=7)]
    redirect_uris: Annotated[list[str], Field(max_length=20)] = []
    post_logout_redirect_uris: Annotated[list[str], Field(max_length=20)] = []
    public: bool = Field(
        default=False,
        strict=True,
        description="A client that cannot keep a secret: an app, a page.",
    )

    @field_validator("redirect_uris", "post_logout_redirect_uris")
    @classmethod
    def _uris_are_safe(cls, value: list[str]) -> list[str]:
        return [_redirect_uri(uri) for uri in value]

    @model_validator(mode="after")
    def _parts_fit(self) -> ClientRegistration:
        code = GrantType.AUTHORIZATION_CODE in self.grant_types
        if code and not self.redirect_uris:
            raise ValueError("a client of the authorization code grant needs a redirect URI")
        if GrantType.REFRESH_TOKEN in self.grant_types and not code:
            raise ValueError("refresh tokens are given with the authorization code grant only")
        own = {GrantType.CLIENT_CREDENTIALS, GrantType.TOKEN_EXCHANGE} & set(self.grant_types)
        if self.public and own:
            raise ValueError("a public client cannot prove itself, which this grant needs")
        return self


class OAuthClient(BaseModel):
    """A client as it is stored."""

    id: str
    tenant: str
    name: str
    grant_types: list[GrantType]
    scopes: list[str]
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    public: bool
    created_at: datetime
    secret_hash: SecretBytes | None = Field(default=None, exclude=True)

    @property
    def principal(self) -> str:
        """The name under which the client acts for itself."""
        return f"client:{self.id}"

    def require(self, grant_type: GrantType) -> None:
        """Raise OAuthError `unauthorized_client` unless the client may use this grant."""
        if grant_type not in self.grant_types:
            raise OAuthError("unauthorized_client", "The client may not use this grant type.")


class RegisteredClient(OAuthClient):
    """A client just registered. `client_secret` is shown this once."""

    client_secret: str | None = None


def digest(secret: str) -> bytes:
    """Return what is stored of a random secret; it has 256 bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def register_client(
    tx: Transaction,
    registration: ClientRegistration,
    *,
    client_id: str | None = None,
    secret: str | None = None,
    tenant: str | None = None,
) -> RegisteredClient:
    """Register a client, in the caller's tenant by default. Raises ConflictError when the id is taken.

    Id and secret are made here unless given (a client that the platform brings itself). For client
    credentials the client gets the roles its scopes need. Raises ForbiddenError when the caller is no
    administrator of the tenant.
    """
    tenant = tenant or tx.caller.tenant
    secret = None if registration.public else secret or secrets.token_urlsafe(32)
    try:
        row = tx.one(
            load_queries(_SQL)["insert_client"],
            {
                **registration.model_dump(mode="json", exclude={"public"}),
                "id": client_id or secrets.token_urlsafe(12).replace("-", "x").replace("_", "y"),
                "tenant": tenant,
                "secret_hash": None if secret is None else digest(secret),
            },
        )
    except ConflictError as error:
        raise ConflictError(
            "There is a client with this id already.",
            errors=[FieldError("id", "is taken", "unique")],
        ) from error
    client = _client(row or {})
    if GrantType.CLIENT_CREDENTIALS in client.grant_types:
        for scope in OWN_SCOPES:
            if scope in client.scopes:
                assign_role(tx, client.principal, _ROLES[scope], tenant=tenant)
    return RegisteredClient(**client.model_dump(), client_secret=secret)


def list_clients(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[OAuthClient]:
    """Return a page of the tenant's clients by id. Raises InvalidInputError for a foreign cursor."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(
        load_queries(_SQL)["list_clients"],
        {"tenant": tx.caller.tenant, "after": after, "limit": limit + 1},
    )
    items = [_client(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].id]) if more else None)


def find_client(tx: Transaction, client_id: str) -> OAuthClient | None:
    """Return the client with this id, None when there is none."""
    row = tx.one(load_queries(_SQL)["find_client"], {"id": client_id})
    return None if row is None else _client(row)


def client_caller(tx: Transaction, client: OAuthClient) -> Caller:
    """Return the client as a caller in its own name, with its roles."""
    roles = roles_of(tx, client.principal, tenant=client.tenant)
    return Caller(client.principal, client.tenant, roles)


def authenticate_client(
    authorization: str | None, parameters: Mapping[str, str], *, public: bool = True
) -> OAuthClient:
    """Return the client that sent a form (RFC 6749, 2.3): by HTTP Basic or by the form's fields.

    A public client only names itself, and only where `public` allows. Raises OAuthError
    `invalid_client`, the same one whether the client or its secret is unknown.
    """
    named, secret = _credentials(authorization, parameters)
    with transaction(SYSTEM) as tx:
        client = find_client(tx, named)
    held = client.secret_hash.get_secret_value() if client and client.secret_hash else b""
    # Compared in any case: an unknown client takes as long as a wrong secret.
    matches = hmac.compare_digest(held, digest(secret or ""))
    if client is None or (client.public and (secret is not None or not public)):
        raise _refused()
    if not client.public and not (secret and matches):
        raise _refused()
    return client


def _credentials(
    authorization: str | None, parameters: Mapping[str, str]
) -> tuple[str, str | None]:
    if authorization is None:
        if "client_id" not in parameters:
            raise _refused()
        return parameters["client_id"], parameters.get("client_secret")
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise _refused()
    if "client_secret" in parameters:
        raise OAuthError("invalid_request", "The client proves itself in two ways at once.")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise _refused() from None
    name, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    if parameters.get("client_id", name) != name:
        raise OAuthError("invalid_request", "The form names another client.")
    return name, secret


def _refused() -> OAuthError:
    return OAuthError("invalid_client", "The client is unknown or did not prove itself.")


def _client(row: Row) -> OAuthClient:
    return OAuthClient.model_validate({**row, "public": row.get("secret_hash") is None})
