"""Grants: what a user allowed a client, with the code and the refresh tokens that come from it.

A code and a refresh token are used once. A second use means that two hold it, one of them a thief: the grant
is revoked with everything that was issued from it (RFC 9700, 4.5 and 4.14).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from datapunk.database import Row, Transaction, load_queries
from datapunk.identity import Caller
from datapunk.nexus.oauth.clients import OAuthClient, digest
from datapunk.nexus.revocations import grant_subject, revoke

CODE_SECONDS = 60
GRANT_SECONDS = 30 * 86_400
"""Longest life of a family of refresh tokens, from the user's consent."""
REFRESH_SECONDS = 14 * 86_400
"""Longest time between two uses of a family."""
_SQL = Path(__file__).with_suffix(".sql")


class Grant(BaseModel):
    """What a code or a refresh token stands for. `used` says that it was handed in before."""

    grant_id: str
    tenant: str
    client_id: str
    principal: str
    session_id: str | None
    scopes: list[str]
    auth_time: datetime
    used: bool
    good: bool
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str | None = None
    expires_at: int = 0


def issue_code(  # noqa: PLR0913 -- a code is bound to that much
    tx: Transaction,
    client: OAuthClient,
    user: Caller,
    *,
    session_id: str | None,
    auth_time: datetime,
    scopes: Sequence[str],
    redirect_uri: str,
    challenge: str,
    nonce: str | None,
) -> str:
    """Record what the user granted and return the code for it, good once within 60 s."""
    grant_id = tx.value(
        load_queries(_SQL)["insert_grant"],
        {
            "tenant": user.tenant,
            "client_id": client.id,
            "principal": user.principal,
            "session_id": session_id,
            "scopes": list(scopes),
            "auth_time": auth_time,
            "seconds": GRANT_SECONDS,
        },
    )
    code = secrets.token_urlsafe(32)
    tx.execute(
        load_queries(_SQL)["insert_code"],
        {
            "hash": digest(code),
            "grant_id": grant_id,
            "redirect_uri": redirect_uri,
            "challenge": challenge,
            "nonce": nonce,
            "seconds": CODE_SECONDS,
        },
    )
    return code


def take_code(tx: Transaction, code: str) -> Grant | None:
    """Return what a code stands for, locked until `tx` ends; None when there is no such code."""
    return _grant(tx.one(load_queries(_SQL)["lock_code"], {"hash": digest(code)}))


def use_code(tx: Transaction, code: str) -> None:
    """Mark a code as used."""
    tx.execute(load_queries(_SQL)["use_code"], {"hash": digest(code)})


def issue_refresh_token(tx: Transaction, grant_id: str) -> str:
    """Return a new refresh token of the grant."""
    token = secrets.token_urlsafe(32)
    tx.execute(
        load_queries(_SQL)["insert_refresh_token"],
        {"hash": digest(token), "grant_id": grant_id, "seconds": REFRESH_SECONDS},
    )
    return token


def take_refresh_token(tx: Transaction, token: str) -> Grant | None:
    """Return what a refresh token stands for, locked until `tx` ends; None when there is none."""
    return _grant(tx.one(load_queries(_SQL)["lock_refresh_token"], {"hash": digest(token)}))


def use_refresh_token(tx: Transaction, token: str) -> None:
    """Mark a refresh token as used."""
    tx.execute(load_queries(_SQL)["use_refresh_token"], {"hash": digest(token)})


def revoke_grant(tx: Transaction, grant_id: str) -> None:
    """End a grant: no refresh token of it is good any more, and no access token."""
    tx.execute(load_queries(_SQL)["revoke_grant"], {"grant_id": grant_id})
    revoke(tx, grant_subject(grant_id))


def revoke_session_grants(tx: Transaction, session_id: str) -> int:
    """End every grant that was given in a session and lives no longer than it; return how many."""
    found = tx.all(load_queries(_SQL)["grants_of_session"], {"session_id": session_id})
    for row in found:
        revoke_grant(tx, row["id"])
    return len(found)


def purge_grants(tx: Transaction) -> int:
    """Forget grants that have expired, and what belongs to them; return how many."""
    return tx.execute(load_queries(_SQL)["purge"])


def _grant(row: Row | None) -> Grant | None:
    return None if row is None else Grant.model_validate(row)
