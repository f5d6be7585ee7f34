"""Ending what a user has begun: sessions, and the access tokens that came from them."""

from __future__ import annotations

from uuid import UUID

from datapunk.audit import announce
from datapunk.database import Transaction
from datapunk.errors import FieldError, NotFoundError
from datapunk.identity import SYSTEM
from datapunk.nexus import revocations, sessions
from datapunk.nexus.users import User


def sign_out(user_id: UUID, session_id: str) -> None:
    """End one of a user's sessions; tokens that name it (`sid`) are refused from then on.

    Raises NotFoundError when he has no such session, UnavailableError when it cannot be recorded or Redis
    does not answer.
    """
    announce()
    if not sessions.end_session(user_id, session_id):
        raise NotFoundError(
            "There is no such session of yours.",
            errors=[FieldError("session", "does not exist", "not_found")],
        )


def sign_out_everywhere(tx: Transaction, user: User) -> None:
    """End all sessions of a user, and with the commit of `tx` all access tokens he has by now.

    Sessions end before that, so that the change they end for cannot stand while they go on. Raises
    UnavailableError when Redis does not answer: the change is undone then.
    """
    with tx.in_name_of(SYSTEM):
        revocations.revoke_issued(tx, user.principal)
    sessions.end_sessions(user.id)
