"""nexus.get_consul_status: what Consul's clients ask before they know a token."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker

OPERATION = "nexus.get_consul_status"


def test_there_is_a_leader_as_long_as_the_registry_works(
    environment: None, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given / When
    leader = invoke(OPERATION, path={"what": "leader"}).json
    # Then
    assert leader
    assert invoke(OPERATION, path={"what": "peers"}).json == [leader]
    # When Redis is gone
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    forget()
    # Then
    assert invoke(OPERATION, path={"what": "leader"}).json == ""
    assert invoke(OPERATION, path={"what": "peers"}).json == []
    assert invoke(OPERATION, path={"what": "king"}).status == 422


def forget() -> None:
    """Become an environment that was just started."""
    from datapunk import cache
    from datapunk.settings import settings

    settings.cache_clear()
    cache.forget()
