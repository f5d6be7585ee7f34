"""Sign-in on a Redis cluster, as on AWS: whatever belongs together may lie on different nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from datapunk import cache, limits
from datapunk.errors import TooManyRequestsError
from datapunk.nexus import attempts, sessions
from datapunk.nexus.federation import flow
from datapunk.nexus.federation.providers import Provider
from datapunk.settings import settings
from pydantic import SecretStr

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.redis_cluster import RedisCluster
from tests.support.people import PASSWORD, add_user
from tests.support.services import Instance
from tests.support.signing_in import Browser


@pytest.fixture
def cluster(
    instance: Instance, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisCluster]:
    """Return a cluster that functions use."""
    made = RedisCluster(require_programs(default_paths(), {}), tmp_path, password="of-the-test")
    made.start()
    try:
        made.wait_ready(30)
        monkeypatch.setenv("REDIS_URL", made.url)
        settings.cache_clear()
        cache.forget()
        limits.forget()
        yield made
    finally:
        cache.forget()
        limits.forget()
        made.stop()


def test_people_sign_in_are_counted_and_signed_out(cluster: RedisCluster) -> None:
    # Given
    assert isinstance(cache.client(), redis.RedisCluster)
    ann = add_user(password=PASSWORD)
    browsers = [Browser() for _ in range(5)]
    # When
    answers = [browser.sign_in("ann@example.com", PASSWORD) for browser in browsers]
    for _ in range(attempts.PER_ACCOUNT):
        attempts.count_attempt("ann@example.com", "192.0.2.10")
    # Then
    assert [answer.status for answer in answers] == [303] * 5
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("ann@example.com", "192.0.2.10")
    assert len(sessions.list_sessions(ann.id)) == 5
    assert sessions.end_sessions(ann.id) == 5
    cookies = [browser.cookies["datapunk"] for browser in browsers]
    assert [sessions.find_session(cookie) for cookie in cookies] == [None] * 5


def test_a_sign_in_on_its_way_is_found_once(cluster: RedisCluster) -> None:
    # Given
    github = Provider(
        name="github",
        label="GitHub",
        dialect="github",
        issuer="https://github.com",
        api="https://api.github.com",
        client_id="a",
        client_secret=SecretStr("b"),
    )
    begun = flow.begin(github, "/docs")
    # When
    taken = [cache.client().getdel(flow._key(begun.state)) for _ in range(2)]
    # Then
    assert [kept is None for kept in taken] == [False, True]
