"""Effects outside the database: none without a record of it, and no answer that tells otherwise.

The service that an effect or its record needs is stopped before, between and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus import sessions
from datapunk.nexus.users import UserAccount

from tests.support.invoking import Answer, Invoker
from tests.support.people import acting, add_user
from tests.support.services import Instance

END = "nexus.end_session_by_id"
pytestmark = pytest.mark.timeout(180)


def _trail(action: str) -> list[str]:
    """Return the outcomes that the trail has of an operation, oldest first."""
    with transaction(SYSTEM) as tx:
        rows = tx.all(
            "SELECT outcome FROM nexus.audit WHERE action = %s ORDER BY sequence", [action]
        )
    return [str(row["outcome"]) for row in rows]


def _end(invoke: Invoker, user: UserAccount, session: str) -> Answer:
    return invoke(END, path={"session": session}, **acting(user))


def test_what_is_done_is_told_though_its_outcome_cannot_be_recorded(
    fragile: Instance, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that dies when the session has ended
    ann = add_user()
    cookie, session = sessions.start_session(ann)
    end: Callable[..., bool] = sessions.end_session

    def end_and_die(*arguments: Any) -> bool:
        ended = end(*arguments)
        fragile.stop("postgres")
        return ended

    monkeypatch.setattr(sessions, "end_session", end_and_die)
    # When
    try:
        answer = _end(invoke, ann, session.id)
    finally:
        fragile.start("postgres")
    # Then
    assert answer.status == 204
    assert sessions.find_session(cookie) is None
    assert _trail(END) == ["begun"]


def test_nothing_is_done_that_cannot_be_recorded(fragile: Instance, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    cookie, session = sessions.start_session(ann)
    # When
    with fragile.without("postgres"):
        answer = _end(invoke, ann, session.id)
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "postgresql")
    assert sessions.find_session(cookie) is not None
    assert _trail(END) == []


def test_what_was_begun_and_failed_is_recorded_as_that(fragile: Instance, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    cookie, session = sessions.start_session(ann)
    # When
    with fragile.without("redis"):
        failed = _end(invoke, ann, session.id)
    again = _end(invoke, ann, session.id)
    # Then
    assert (failed.status, failed.json["dependency"], again.status) == (503, "redis", 204)
    assert sessions.find_session(cookie) is None
    assert _trail(END) == ["begun", "failed", "begun", "done"]


def test_a_password_does_not_change_while_its_sessions_cannot_end(
    fragile: Instance, invoke: Invoker
) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    cookie, _ = sessions.start_session(ann)
    change: dict[str, Any] = {
        "path": {"user": str(ann.id)},
        "body": {"password": "another long password"},
        "headers": {"If-Match": "*"},
    }
    # When
    with fragile.without("redis"):
        failed = invoke("nexus.update_user", **change, **acting(admin))
        kept = _password_hash(ann)
    # Then nothing has changed, and it can be asked for again
    assert (failed.status, failed.json["dependency"]) == (503, "redis")
    assert (_password_hash(ann), _revoked(ann)) == (kept, 0)
    assert sessions.find_session(cookie) is not None
    assert invoke("nexus.update_user", **change, **acting(admin)).status == 200
    assert sessions.find_session(cookie) is None
    assert (_password_hash(ann) == kept, _revoked(ann)) == (False, 1)
    assert _trail("nexus.update_user") == ["failed", "done"]


def _password_hash(user: UserAccount) -> Any:
    with transaction(SYSTEM) as tx:
        return tx.value("SELECT password_hash FROM nexus.users WHERE id = %s", [user.id])


def _revoked(user: UserAccount) -> Any:
    with transaction(SYSTEM) as tx:
        return tx.value(
            "SELECT count(*) FROM nexus.revocations WHERE subject = %s", [user.principal]
        )
