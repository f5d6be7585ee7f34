"""The cache client and the rate limit on a Redis cluster, as on AWS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from datapunk import cache, limits
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.limits import check_rate
from datapunk.settings import settings

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.redis_cluster import RedisCluster
from tests.support.services import Instance

QUOTA = 40


@pytest.fixture
def cluster(
    instance: Instance, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisCluster]:
    """Return a cluster that functions use, and a limit of 40 requests a day."""
    made = RedisCluster(require_programs(default_paths(), {}), tmp_path, password="of-the-test")
    made.start()
    try:
        made.wait_ready(30)
        monkeypatch.setenv("REDIS_URL", made.url)
        settings.cache_clear()
        with transaction(SYSTEM) as tx:
            tx.execute(
                "INSERT INTO nexus.rate_limits (quota, window_seconds) VALUES (%s, 86400)", (QUOTA,)
            )
        cache.forget()
        limits.forget()
        yield made
    finally:
        cache.forget()
        limits.forget()
        made.stop()


def test_exactly_the_quota_of_each_client_passes_wherever_its_key_is(
    cluster: RedisCluster,
) -> None:
    # Given clients whose counts are spread over the nodes
    assert isinstance(cache.client(), redis.RedisCluster)
    callers = [Caller(f"user:{number}", "acme") for number in range(12)]
    requests = [caller for _ in range(2 * QUOTA) for caller in callers]
    check_rate(callers[0], "lake.get_dataset")
    # When many ask at once
    with ThreadPoolExecutor(50) as pool:
        states = list(
            pool.map(lambda caller: (caller, check_rate(caller, "lake.get_dataset")), requests)
        )
    # Then
    passed = dict.fromkeys(callers, 0)
    for caller, state in states:
        assert state.remaining is not None
        passed[caller] += state.allowed
    assert passed == {caller: QUOTA - 1 if caller is callers[0] else QUOTA for caller in callers}
