"""Sessions in Redis."""

from __future__ import annotations

import uuid

import pytest
from datapunk import cache
from datapunk.errors import UnavailableError
from datapunk.nexus import sessions
from datapunk.settings import settings

from tests.support.people import add_user


def test_a_session_lasts_86400_seconds_however_much_it_is_used(database: str) -> None:
    # Given
    ann = add_user()
    cookie, session = sessions.start_session(ann)
    cache.client().expire(f"session:{session.id}", 100)
    # When
    found = sessions.find_session(cookie)
    # Then
    assert found is not None
    assert cache.client().ttl(f"session:{session.id}") <= 100
    assert (session.expires_at - session.started_at).total_seconds() == 86_400


def test_a_deleted_record_ends_the_session(database: str) -> None:
    # Given
    ann = add_user()
    cookie, session = sessions.start_session(ann)
    # When an operator deletes it with redis-cli
    cache.client().delete(f"session:{session.id}")
    # Then
    assert sessions.find_session(cookie) is None
    assert not sessions.is_live(session.id)
    assert sessions.list_sessions(ann.id) == []


def test_the_fifty_first_session_takes_the_place_of_the_first(database: str) -> None:
    # Given
    ann = add_user()
    made = [sessions.start_session(ann)[0] for _ in range(sessions.MOST)]
    # The clock of sessions has seconds: the first is made older than the rest.
    cache.client().zincrby(f"sessions:{ann.id}", -10, made[0].partition(".")[0])
    # When
    made.append(sessions.start_session(ann)[0])
    # Then
    alive = [sessions.read_session(cookie) is not None for cookie in made]
    assert alive == [False, *[True] * sessions.MOST]
    assert len(sessions.list_sessions(ann.id)) == sessions.MOST


def test_all_of_a_users_sessions_end_and_nobody_elses(database: str) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    anns = [sessions.start_session(ann)[0] for _ in range(3)]
    bobs, _ = sessions.start_session(bob)
    # When
    ended = sessions.end_sessions(ann.id)
    # Then
    assert ended == 3
    assert [sessions.find_session(cookie) for cookie in anns] == [None] * 3
    assert sessions.find_session(bobs) is not None


@pytest.mark.parametrize(
    "value", ["", ".", "a.b", "0" * 32 + ".", "0" * 32 + "." + "A" * 43, "x" * 10_000, "\r\n"]
)
def test_what_is_no_session_opens_none(environment: None, value: str) -> None:
    # Given / When / Then
    assert sessions.read_session(value) is None


def test_without_redis_nobody_is_taken_for_signed_out(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    cache.forget()
    # When / Then
    with pytest.raises(UnavailableError):
        sessions.read_session("0" * 32 + "." + "A" * 43)
    with pytest.raises(UnavailableError):
        sessions.list_sessions(uuid.uuid4())
