"""The cache client, rate limit, registry, breakers and router on a Redis cluster, as on AWS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from datapunk import cache, limits, registry
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.limits import check_rate
from datapunk.mesh import breaker
from datapunk.mesh.breaker import BreakerPolicy
from datapunk.nexus.routing import balancing, epoch, speed
from datapunk.nexus.routing.balancing import Member, Turn, pick, states, tell
from datapunk.nexus.routing.rules import Ejection
from datapunk.registry import PLATFORM, Kind, Registration, Status
from datapunk.registry.store import key, sweep
from datapunk.settings import settings

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.redis_cluster import RedisCluster
from tests.support.breaking import call, fail
from tests.support.registering import OWNER, ttl, web
from tests.support.services import Instance, eventually

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


def test_each_tenants_registry_is_in_one_place_and_all_of_them_are_spread(
    cluster: RedisCluster,
) -> None:
    # Given
    tenants = [f"tenant{number}" for number in range(6)]
    lake = Registration(id="lake", service="lake", kind=Kind.LAMBDA, address="datapunk-lake")
    registry.register(PLATFORM, lake, owner="system")
    # When
    for tenant in tenants:
        registry.register(tenant, web("web-1"), [(ttl("web-1"), Status.PASSING)], owner=OWNER)
        registry.register(tenant, web("web-2"), [(ttl("web-2", 0.2), Status.PASSING)], owner=OWNER)
        registry.beat(tenant, "service:web-1", owner=OWNER)
        registry.deregister(tenant, "web-1", owner=OWNER)
    # Then
    client = cache.client()
    assert isinstance(client, redis.RedisCluster)
    places = [client.get_node_from_key(key(tenant, "index")) for tenant in tenants]
    assert len({node.name for node in places if node}) > 1
    for tenant in tenants:
        eventually(
            lambda tenant=tenant: (
                [item.status for item in registry.instances(tenant, "web")[0]] == [Status.CRITICAL]
            )
        )
        assert [item.service for item in registry.discover("lake", tenant=tenant)] == ["lake"]
    assert sweep() == len(tenants)


def test_breakers_and_bulkheads_are_wherever_their_keys_are(cluster: RedisCluster) -> None:
    # Given targets that are spread over the nodes
    breaker.forget()
    policy = BreakerPolicy(concurrency=2)
    targets = [f"service-{number}" for number in range(12)]
    # When
    went = {target: [fail(target, policy) for _ in range(6)] for target in targets[:6]}
    well = {target: [call(target, policy) for _ in range(6)] for target in targets[6:]}
    # Then
    assert set(map(tuple, went.values())) == {("failed",) * 5 + ("circuit_open",)}
    assert set(map(tuple, well.values())) == {("ok",) * 6}
    states = {state.target: state for state in breaker.states()}
    assert {states[target].state for target in targets[:6]} == {"open"}
    assert {(states[target].state, states[target].busy) for target in targets[6:]} == {
        ("closed", 0)
    }


def test_turns_and_ejections_are_wherever_their_keys_are(cluster: RedisCluster) -> None:
    # Given services that are spread over the nodes
    members = [Member("a", 2), Member("b", 1)]
    policy = Ejection(failures=1, base_seconds=60)
    balancing.forget()
    for number in range(8):
        service = f"service-{number}"
        # When
        turns = [pick(service, "rule", members, repeatable=True, lease=5) for _ in range(6)]
        tell(Turn(service, "a"), "failed", policy)
        speed.note(service, "b", 0.01, failed=False)
        # Then
        assert Counter(turn.instance for turn in turns) == {"a": 4, "b": 2}
        assert not any(turn.local for turn in turns)
        assert pick(service, "rule", members, repeatable=True, lease=5).instance == "b"
        assert states(service)["a"].ejections == 1
        assert speed.speeds(service)["b"].answers == 1
    epoch.announce(7)
    epoch.announce(3)
    assert epoch.announced() == 7
