"""Sessions of signed-in users: in Redis, for 86,400 s from sign-in, ended at any moment by the server.

A cookie's value is `<id>.<secret>`. The id is public: it names the session in lists and in tokens (`sid`).
Redis holds the secret's digest only, so that its content signs nobody in. Each session is a key of its own
that expires by itself; a sorted set per user, by expiry, tells which there are. No two keys are used in one
command, so a cluster may hold them where it likes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import orjson

from datapunk.cache import client, translated
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.users import User, find_caller

SECONDS = 86_400
"""Life of a session, from sign-in and not from the last use."""

MOST = 50
"""Sessions a user can have; the one that would end first makes room for another."""

_COOKIE = re.compile(r"(?P<id>[0-9a-f]{32})\.(?P<secret>[A-Za-z0-9_-]{43})\Z")
_LONGEST_AGENT = 256


@dataclass(frozen=True, slots=True)
class Session:
    """One session: whose it is, since when, until when, and where it was begun."""

    id: str
    user_id: UUID
    method: str
    """`password`, or the name of the provider that the user signed in with."""
    started_at: datetime
    expires_at: datetime
    address: str
    agent: str


def start_session(
    user: User, *, method: str = "password", address: str = "", agent: str = ""
) -> tuple[str, Session]:
    """Begin a session of a user; return the cookie's value, which is told once, and the session.

    Raises UnavailableError when Redis does not answer.
    """
    now = int(time.time())
    session = Session(
        id=secrets.token_hex(16),
        user_id=user.id,
        method=method,
        started_at=datetime.fromtimestamp(now, UTC),
        expires_at=datetime.fromtimestamp(now + SECONDS, UTC),
        address=address,
        agent=agent[:_LONGEST_AGENT],
    )
    secret = secrets.token_urlsafe(32)
    with translated():
        client().set(_key(session.id), _packed(session, secret), ex=SECONDS)
        client().zadd(_index(user.id), {session.id: now + SECONDS})
        client().expire(_index(user.id), SECONDS)
    _make_room(user.id)
    return f"{session.id}.{secret}", session


def read_session(cookie_value: str) -> Session | None:
    """Return the session that a cookie's value opens, or None. Raises UnavailableError."""
    match = _COOKIE.match(cookie_value)
    if match is None:
        return None
    found = _load(match["id"])
    if found is None or not hmac.compare_digest(found[1], _digest(match["secret"])):
        return None
    return found[0]


def find_session(cookie_value: str) -> Caller | None:
    """Return the user in whose session a request comes, as he may act now, or None.

    Tenant, roles and whether he is disabled are read from the database: none of it is a day old. Raises
    UnavailableError when Redis or the database does not answer.
    """
    session = read_session(cookie_value)
    if session is None:
        return None
    with transaction(SYSTEM) as tx:
        caller = find_caller(tx, session.user_id)
    return caller and replace(caller, valid_until=session.expires_at.timestamp())


def is_live(session_id: str) -> bool:
    """Tell whether the session that a token names (`sid`) has not ended. Raises UnavailableError."""
    with translated():
        return bool(client().exists(_key(session_id)))


def list_sessions(user_id: UUID) -> list[Session]:
    """Return a user's sessions, the newest first. Raises UnavailableError."""
    with translated():
        client().zremrangebyscore(_index(user_id), "-inf", time.time())
        known = client().zrevrange(_index(user_id), 0, -1)
    found = [_load(str(session_id)) for session_id in known]
    sessions = [item[0] for item in found if item is not None]
    return sorted(sessions, key=lambda session: session.started_at, reverse=True)


def end_session(user_id: UUID, session_id: str) -> bool:
    """End one of a user's sessions; tell whether he had it. Raises UnavailableError."""
    with translated():
        if not client().zrem(_index(user_id), session_id):
            return False
        return bool(client().delete(_key(session_id)))


def end_sessions(user_id: UUID) -> int:
    """End all sessions of a user and return how many there were. Raises UnavailableError."""
    with translated():
        known = [str(session_id) for session_id in client().zrange(_index(user_id), 0, -1)]
    return sum(end_session(user_id, session_id) for session_id in known)


def _make_room(user_id: UUID) -> None:
    with translated():
        client().zremrangebyscore(_index(user_id), "-inf", time.time())
        oldest = client().zrange(_index(user_id), 0, -(MOST + 1))
    for session_id in oldest:
        end_session(user_id, str(session_id))


def _load(session_id: str) -> tuple[Session, str] | None:
    """Return a session and the digest of its secret, or None."""
    with translated():
        packed = client().get(_key(session_id))
    if packed is None:
        return None
    stored = orjson.loads(packed)
    session = Session(
        id=session_id,
        user_id=UUID(stored["user"]),
        method=stored["method"],
        started_at=datetime.fromisoformat(stored["started_at"]),
        expires_at=datetime.fromisoformat(stored["expires_at"]),
        address=stored["address"],
        agent=stored["agent"],
    )
    return session, stored["digest"]


def _packed(session: Session, secret: str) -> bytes:
    return orjson.dumps(
        {
            "user": session.user_id,
            "method": session.method,
            "started_at": session.started_at,
            "expires_at": session.expires_at,
            "address": session.address,
            "agent": session.agent,
            "digest": _digest(secret),
        }
    )


def _digest(secret: str) -> str:
    # The secret is 256 random bits: no slow hash is needed to keep it from being guessed.
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(session_id: str) -> str:
    return f"session:{session_id}"


def _index(user_id: UUID) -> str:
    return f"sessions:{user_id}"
