"""The Redis cluster for tests of cluster clients."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from infrastructure.local.services.programs import Programs
from infrastructure.local.services.redis_cluster import MASTERS, ClusterNode, RedisCluster

FAILOVER_SECONDS = 30


@pytest.fixture
def cluster(programs: Programs, tmp_path: Path) -> Iterator[RedisCluster]:
    made = RedisCluster(programs, tmp_path, password="of-the-test")
    made.start()
    try:
        made.wait_ready(30)
        yield made
    finally:
        made.stop()


def test_keys_are_spread_and_survive_the_end_of_a_master(cluster: RedisCluster) -> None:
    # Given
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.1), 20)
    client = redis.RedisCluster.from_url(cluster.url, retry=retry, decode_responses=True)
    with client:
        keys = {f"key:{number}": str(number) for number in range(60)}
        for key, value in keys.items():
            client.set(key, value)
        sizes = client.dbsize(target_nodes=redis.RedisCluster.PRIMARIES)
        assert sizes == len(keys)
        assert all(_keys_of(cluster, node) for node in cluster.nodes[:MASTERS])
        client.wait(1, 1000, target_nodes=redis.RedisCluster.PRIMARIES)
        # When
        pid = cluster.process(cluster.nodes[0]).alive()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # Then
        assert _read(client, list(keys)) == keys


def _keys_of(cluster: RedisCluster, node: ClusterNode) -> int:
    with redis.Redis.from_url(cluster.node_url(node)) as client:
        return int(client.dbsize())


def _read(client: redis.RedisCluster, keys: list[str]) -> dict[str, str]:
    """Read all keys, as often as it takes until the replica has become master."""
    give_up = time.monotonic() + FAILOVER_SECONDS
    while True:
        try:
            return {key: str(client.get(key)) for key in keys}
        except (redis.RedisError, OSError):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
