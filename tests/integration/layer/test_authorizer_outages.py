"""The authorizer while PostgreSQL or Redis is away: whom it knows goes on, nobody else comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datapunk.cache import client
from datapunk.errors import UnavailableError
from datapunk.nexus import authentication
from datapunk.nexus.authority import rotate_roots
from datapunk.nexus.keys import rotate
from datapunk.nexus.remembered import FRESH, STALE
from datapunk.settings import settings

from tests.support.clock import Clock
from tests.support.credentials import KINDS, Credential, session, token
from tests.support.invoking import run
from tests.support.services import Instance

OPERATION = "nexus.authorize"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def platform(fragile: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """Return services that may be stopped, with keys that sign."""
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'keyring'}")
    settings.cache_clear()
    rotate()
    rotate_roots()
    return fragile


@pytest.fixture
def clock(platform: Instance, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(authentication, "_memory", clock.memory())
    return clock


def _principal(credential: Credential) -> str:
    return str(run(OPERATION, credential.event)["principalId"])


def _cannot_be_told(credential: Credential, dependency: str) -> None:
    """Assert what becomes 503 with Retry-After at the gateway."""
    with pytest.raises(UnavailableError) as raised:
        run(OPERATION, credential.event)
    assert raised.value.dependency == dependency


def _refused(credential: Credential) -> None:
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        run(OPERATION, credential.event)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_revoked_is_refused_within_the_bound(kind: str, clock: Clock) -> None:
    # Given
    credential = KINDS[kind]()
    assert _principal(credential) == credential.principal
    # When
    credential.revoke()
    # Then
    clock.pass_by(FRESH - 0.1)
    assert _principal(credential) == credential.principal
    clock.pass_by(0.2)
    _refused(credential)
    _refused(credential)


def test_without_postgresql_whom_it_knows_goes_on(platform: Instance, clock: Clock) -> None:
    # Given one of each kind that is known, and one that is not
    known = [make() for make in KINDS.values()]
    unknown = token("stranger@example.com")
    for credential in known:
        _principal(credential)
    # When / Then
    with platform.without("postgres"):
        for seconds in (FRESH, STALE - FRESH - 1):
            clock.pass_by(seconds)
            assert [_principal(item) for item in known] == [item.principal for item in known]
            _cannot_be_told(unknown, "postgresql")
        clock.pass_by(2)
        for credential in known:
            _cannot_be_told(credential, "postgresql")
    for credential in (*known, unknown):
        assert _principal(credential) == credential.principal


def test_without_redis_sessions_go_on_and_the_rest_is_asked(
    platform: Instance, clock: Clock
) -> None:
    # Given
    cookie, bearer = session(), token(session="0" * 32)
    unknown = token("stranger@example.com", session="1" * 32)
    _revive("0" * 32, "1" * 32)
    others: list[Callable[[], Credential]] = [KINDS["key"], KINDS["certificate"]]
    asked = [make() for make in others]
    for credential in (cookie, bearer):
        _principal(credential)
    # When / Then
    with platform.without("redis"):
        clock.pass_by(FRESH)
        assert _principal(cookie) == cookie.principal
        assert _principal(bearer) == bearer.principal
        _cannot_be_told(unknown, "redis")
        for credential in asked:
            assert _principal(credential) == credential.principal
        # What stands in PostgreSQL is still looked at.
        bearer.revoke()
        clock.pass_by(FRESH)
        _refused(bearer)
        clock.pass_by(STALE)
        _cannot_be_told(cookie, "redis")


def _revive(*sessions: str) -> None:
    """Let tokens name sessions that live."""
    for name in sessions:
        client().set(f"session:{name}", "{}")
