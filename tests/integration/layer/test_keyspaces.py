"""Redis holds what the one table says, for as long as it says, and through one client."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import redis
from datapunk import cache
from datapunk.cache.namespaces import (
    HOT_DATA_BYTES,
    HOT_DATA_TTL,
    KEYSPACES,
    NAMESPACES,
    PARTITIONS,
)
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.people import PASSWORD, add_user
from tests.support.services import Instance
from tests.support.signing_in import Browser

LAYER = Path(__file__).resolve().parents[3] / "layers" / "common" / "datapunk"


@pytest.fixture
def empty(instance: Instance, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions use a part of Redis that nobody else does."""
    monkeypatch.setenv("REDIS_URL", instance.url("redis").removesuffix("/0") + "/7")
    settings.cache_clear()
    cache.forget()
    cache.client().flushdb()


def test_every_key_is_declared_and_ends(empty: None, invoke: Invoker) -> None:
    # Given what uses Redis
    add_user(password=PASSWORD)
    Browser().sign_in("ann@example.com", PASSWORD)
    Browser().sign_in("bob@example.com", "wrong")
    invoke("lake.create_dataset")
    invoke("lake.get_dataset")
    invoke("lake.get_dataset", path={"dataset": "nothing_here"})
    invoke.sample("lake.warm_cache")
    invoke.sample("nexus.repair_cache")
    # When
    client = cache.client()
    keys = {str(key): int(client.ttl(key)) for key in client.scan_iter("*")}
    # Then
    uses = {use.pattern: use for use in KEYSPACES}
    found = {key: [use for use in KEYSPACES if fnmatch(key, use.pattern)] for key in keys}
    assert {key for key, declared in found.items() if len(declared) != 1} == set()
    assert {key for key, (use,) in found.items() if not 0 < keys[key] <= use.longest} == set()
    assert {use.pattern for declared in found.values() for use in declared} >= set(uses) - {
        "sign-in:state:*"
    }


def test_the_server_gives_up_the_least_recently_used_of_what_ends(instance: Instance) -> None:
    # Given / When
    with redis.Redis.from_url(instance.url("redis"), decode_responses=True) as server:
        policy, most = (server.config_get(name) for name in ("maxmemory-policy", "maxmemory"))
    # Then
    assert policy == {"maxmemory-policy": "volatile-lru"}
    assert most == {"maxmemory": str(8 * 1024**3)}


def test_hot_data_keeps_within_its_bounds() -> None:
    # Given / When
    namespaces = list(NAMESPACES.values())
    # Then
    assert sum(item.max_bytes for item in namespaces) <= HOT_DATA_BYTES
    for item in namespaces:
        assert item.ttl <= HOT_DATA_TTL
        assert item.max_value * PARTITIONS < item.max_bytes
        assert item.keep > 1000 * item.ttl


def test_one_module_makes_clients() -> None:
    # Given / When
    makers = {
        file.relative_to(LAYER).as_posix()
        for file in LAYER.rglob("*.py")
        if re.search(r"\bRedis(Cluster)?(\.from_url)?\(", file.read_text())
    }
    # Then
    assert makers == {"cache/connection.py"}
