"""DELETE /v1/nexus/sessions/{session}."""

from __future__ import annotations

from datapunk.nexus import sessions

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user


def test_one_session_ends_and_the_other_stays(database: str, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    lost, session = sessions.start_session(ann)
    kept, _ = sessions.start_session(ann)
    # When
    answer = invoke("nexus.end_session_by_id", path={"session": session.id}, **acting(ann))
    again = invoke("nexus.end_session_by_id", path={"session": session.id}, **acting(ann))
    # Then
    assert (answer.status, again.status) == (204, 404)
    assert sessions.find_session(lost) is None
    assert sessions.find_session(kept) is not None
    assert not sessions.is_live(session.id)


def test_nobody_ends_sessions_of_others(database: str, invoke: Invoker) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com", roles=["admin"])
    cookie, session = sessions.start_session(ann)
    # When
    answer = invoke("nexus.end_session_by_id", path={"session": session.id}, **acting(bob))
    # Then
    assert answer.status == 404
    assert sessions.find_session(cookie) is not None
