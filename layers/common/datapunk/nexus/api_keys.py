"""API keys: by them a program acts for its owner, with the scopes of the key.

A key is `dpk_<id>_<secret><checksum>` in letters and digits: 8 of a public id, 43 of a secret (256 random
bits) and 6 of a CRC-32 over all before it. The prefix lets scanners find a key in code; the checksum tells a
mistyped or invented one without asking the database. Only the SHA-256 digest of a key is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from datapunk.audit import record
from datapunk.credentials import KEY_PREFIX
from datapunk.database import Row, Transaction, load_queries, transaction
from datapunk.errors import ConflictError, FieldError, ForbiddenError, NotFoundError
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.oauth.clients import client_caller, find_client
from datapunk.nexus.users import Name, find_caller, user_id_of
from datapunk.nexus.workloads import workload_caller
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.telemetry import count

_SERVICE = "service:"
ACTOR = "key:"
"""How a key is called in the chain of those who act for its owner: `key:<id>`."""
DAYS = 90
OVERLAP = timedelta(days=7)
"""How long a key still works after it was rotated."""
MOST = 50
"""Live keys an owner can have."""

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.api_keys"
_ALPHABET = string.digits + string.ascii_letters
_ID, _SECRET, _CHECKSUM = 8, 43, 6
_NO_DIGEST = bytes(32)
_KEY = re.compile(
    rf"{KEY_PREFIX}(?P<id>[0-9A-Za-z]{{{_ID}}})_[0-9A-Za-z]{{{_SECRET}}}(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM}}})\Z"
)

KeyScope = Literal["read", "write", "admin"]


class NewApiKey(BaseModel):
    """What an API key is issued with."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Weather station", "scopes": ["read", "write"]}],
        },
    )

    name: Name
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=3)]
    expires_in_days: Annotated[int, Field(strict=True, ge=1, le=365)] = DAYS


class ApiKey(BaseModel):
    """A key as it is stored: everything but the key itself."""

    id: str
    tenant: str
    owner: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(
        description="Exact to a minute; null before the first use."
    )
    replaced_by: str | None = Field(description="Id of the key that it was rotated into.")
    revoked_at: datetime | None


class IssuedApiKey(ApiKey):
    """A key just issued. `key` is shown this once."""

    key: str


def issue_api_key(tx: Transaction, wanted: NewApiKey) -> IssuedApiKey:
    """Issue a key that acts for the caller.

    Raises ForbiddenError for scopes that the caller's own credentials lack and for who comes through a key
    or a service, ConflictError for an owner who has 50 live keys.
    """
    _require_himself(tx.caller)
    _require_scopes(tx.caller, wanted.scopes)
    _require_room(tx)
    scopes = list(dict.fromkeys(wanted.scopes))
    return _insert(tx, wanted.name, scopes, timedelta(days=wanted.expires_in_days))


def rotate_api_key(tx: Transaction, key_id: str) -> IssuedApiKey:
    """Issue the successor of one of the caller's keys: same name, scopes and lifetime.

    The old one works for 7 more days, or until its own end if that is sooner. Raises NotFoundError when the
    caller has no such key, ConflictError when it was rotated before or works no more, ForbiddenError as
    `issue_api_key` does.
    """
    _require_himself(tx.caller)
    parameters = {"id": key_id, "owner": tx.caller.principal}
    row = tx.one(load_queries(_SQL)["find_to_rotate"], parameters)
    if row is None:
        raise _no_such_key()
    if row["replaced_by"]:
        raise ConflictError(f"The key was rotated before, into {row['replaced_by']}.")
    if not row["live"]:
        raise ConflictError("The key works no more: issue a new one.")
    _require_scopes(tx.caller, row["scopes"])
    successor = _insert(tx, row["name"], row["scopes"], row["lifetime"])
    tx.execute(
        load_queries(_SQL)["replace"],
        {"id": key_id, "successor": successor.id, "overlap": OVERLAP},
    )
    return successor


def find_key(tx: Transaction, key_id: str) -> ApiKey:
    """Return a key. Raises NotFoundError when there is none that the caller can see."""
    row = tx.one(load_queries(_SQL)["find"], {"id": key_id})
    if row is None:
        raise _no_such_key()
    return ApiKey.model_validate(row)


def list_api_keys(
    tx: Transaction, *, owner: str | None, limit: int, cursor: str | None = None
) -> Page[ApiKey]:
    """Return a page of an owner's keys by id; None asks for all that the caller can see.

    Raises InvalidInputError for a foreign cursor.
    """
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(load_queries(_SQL)["list"], {"owner": owner, "after": after, "limit": limit + 1})
    items = [ApiKey.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].id]) if more else None)


def revoke_api_key(tx: Transaction, key_id: str) -> None:
    """Refuse a key from now on (the authorizer within its bound); it may be revoked already.

    Raises NotFoundError when there is none that the caller can see, ForbiddenError for who comes through a
    key or a service.
    """
    _require_himself(tx.caller)
    if not tx.execute(load_queries(_SQL)["revoke"], {"id": key_id}):
        raise _no_such_key()


def find_api_key(presented: str) -> Caller | None:
    """Return for whom a presented key acts, or None when it is unknown, expired or revoked.

    The caller is the key's owner as he is now, with those of the key's scopes that he still has; a key of
    who is gone or disabled is worth nothing. A service has certificates, and a key as its backup: each use of
    it is counted, one a minute recorded. Raises UnavailableError when the database does not answer.
    """
    match = _KEY.match(presented)
    if match is None or match["checksum"] != _checksum(presented[:-_CHECKSUM]):
        return None
    key_id = match["id"]
    with transaction(SYSTEM) as tx:
        row = tx.one(load_queries(_SQL)["find_presented"], {"id": key_id}) or {}
        # Compared in any case: an unknown id takes as long as a wrong secret.
        matches = hmac.compare_digest(row.get("secret_hash", _NO_DIGEST), _digest(presented))
        if not matches or not row["live"]:
            return None
        owner = _owner(tx, row["owner"], row["tenant"])
        if owner is None or owner.tenant != row["tenant"]:
            return None
        caller = replace(
            owner,
            scopes=tuple(scope for scope in row["scopes"] if scope in owner.scopes),
            actors=(f"{ACTOR}{key_id}",),
            valid_until=row["expires_at"].timestamp(),
        )
        backup = owner.principal.startswith(_SERVICE)
        touched = row["stale"] and tx.execute(load_queries(_SQL)["touch"], {"id": key_id})
        if touched and backup:
            place = f"/v1/nexus/api-keys/{key_id}"
            record(tx, "nexus.use_backup", place, detail={"method": "api_key"}, caller=caller)
    if backup:
        count("backup_credentials_total", service="nexus", method="api_key")
    return caller


def _owner(tx: Transaction, principal: str, tenant: str) -> Caller | None:
    """Return an owner as he may act now; None when he is gone, disabled or of a kind that has no keys."""
    kind, _, identifier = principal.partition(":")
    if kind == "user":
        return find_caller(tx, user_id_of(Caller(principal)))
    if kind == "client":
        client = find_client(tx, identifier)
        if client is not None:
            return replace(client_caller(tx, client), scopes=tuple(client.scopes))
    if kind == "service":
        return workload_caller(tx, tenant, identifier)
    return None


def _insert(
    tx: Transaction, name: str, scopes: list[str] | list[KeyScope], lifetime: timedelta
) -> IssuedApiKey:
    key = _new_key()
    row: Row | None = tx.one(
        load_queries(_SQL)["insert"],
        {
            "id": key[len(KEY_PREFIX) : len(KEY_PREFIX) + _ID],
            "name": name,
            "secret_hash": _digest(key),
            "scopes": scopes,
            "lifetime": lifetime,
        },
    )
    return IssuedApiKey.model_validate({**(row or {}), "key": key})


def _new_key() -> str:
    body = f"{KEY_PREFIX}{_random(_ID)}_{_random(_SECRET)}"
    return body + _checksum(body)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _digest(key: str) -> bytes:
    # The secret is 256 random bits: no slow hash is needed to keep it from being guessed.
    return hashlib.sha256(key.encode()).digest()


def _require_himself(caller: Caller) -> None:
    """Raise ForbiddenError for who acts for someone else, or for a kind of principal that has no keys.

    Whoever finds a key could otherwise make himself others, and outlive its end.
    """
    if caller.actors:
        raise ForbiddenError(
            "Keys are managed with one's own token or session, not through others."
        )
    if caller.principal.partition(":")[0] not in ("user", "client", "service"):
        raise ForbiddenError("Only users, clients and services have API keys.")


def _require_scopes(caller: Caller, scopes: Iterable[str]) -> None:
    """Raise ForbiddenError unless the caller's credentials have all the scopes themselves."""
    missing = " ".join(scope for scope in scopes if scope not in caller.scopes)
    if missing:
        raise ForbiddenError(
            f"A key cannot have scopes that its issuer's credentials lack: {missing}.",
            scope=missing,
        )


def _require_room(tx: Transaction) -> None:
    """Raise ConflictError when the caller has all the live keys he can have; rotated ones do not count."""
    queries, owner = load_queries(_SQL), {"owner": tx.caller.principal}
    # Whoever issues at the same time for the same owner waits here, or both would be the last.
    tx.execute(queries["lock_owner"], owner)
    if tx.value(queries["count_live"], owner) >= MOST:
        raise ConflictError(f"There are {MOST} keys that work already: revoke one first.")


def _no_such_key() -> NotFoundError:
    return NotFoundError(
        "There is no such API key.", errors=[FieldError("key", "does not exist", "not_found")]
    )
