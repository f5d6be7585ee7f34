"""Access tokens refused before their end: one look-up in the database for each verification.

A token is refused by its own id, by the grant it descends from, or because its principal's tokens were
ended (sessions end in Redis). It stands in the database so that the discovery of a replay and the end of
what was issued are one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from datapunk.database import Transaction, load_queries, transaction
from datapunk.identity import SYSTEM

_SQL = Path(__file__).with_suffix(".sql")
KEPT_SECONDS = 1800
"""Longer than an access token lives, clocks apart: what it refused is refused by its age after that."""
_CLOCKS = dt.timedelta(seconds=5)


def token_subject(token_id: str) -> str:
    """Return what names one token here."""
    return f"token:{token_id}"


def grant_subject(grant_id: str) -> str:
    """Return what names every token of a grant here."""
    return f"grant:{grant_id}"


def revoke(tx: Transaction, subject: str) -> None:
    """Refuse every token of `subject` (a token or a grant) from the commit of `tx` on.

    `tx` must be the platform's own (`identity.SYSTEM`).
    """
    _revoke(tx, subject, "infinity")


def revoke_issued(tx: Transaction, principal: str) -> None:
    """Refuse the tokens that a principal has by now; those it gets later are good."""
    _revoke(tx, principal, (dt.datetime.now(dt.UTC) + _CLOCKS).isoformat())


def is_revoked(subjects: Sequence[str], *, issued_at: int) -> bool:
    """Tell whether a token that belongs to these subjects is refused.

    Raises UnavailableError without the database: a token that cannot be checked is not accepted.
    """
    with transaction(SYSTEM) as tx:
        parameters = {"subjects": list(subjects), "issued_at": issued_at}
        return bool(tx.value(load_queries(_SQL)["is_revoked"], parameters))


def purge(tx: Transaction) -> int:
    """Forget what has no living token any more; return how many entries that were."""
    return tx.execute(load_queries(_SQL)["purge"])


def _revoke(tx: Transaction, subject: str, issued_through: str) -> None:
    parameters = {"subject": subject, "issued_through": issued_through, "seconds": KEPT_SECONDS}
    tx.execute(load_queries(_SQL)["revoke"], parameters)
