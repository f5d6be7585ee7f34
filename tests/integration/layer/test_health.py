"""Health while services stop, hang or come back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from datapunk import cache
from datapunk.health import CHECK_TIMEOUT
from datapunk.settings import settings

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.redis_cluster import RedisCluster
from tests.support.invoking import Answer, Invoker
from tests.support.services import Broker, Instance, eventually

pytestmark = pytest.mark.timeout(180)
SLACK = 1.5
"""Seconds that a busy machine may add to what is promised."""


def _down(answer: Answer) -> list[str]:
    return [item["name"] for item in answer.json["checks"] if item["status"] == "down"]


def _asking() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("health")]


@pytest.mark.parametrize(
    ("service", "check", "modules"),
    [
        ("postgres", "postgresql", {"nexus": "down", "lake": "down", "stream": "down"}),
        ("redis", "redis", {"nexus": "down", "lake": "degraded", "stream": "degraded"}),
        ("rabbitmq", "rabbitmq", {"nexus": "down", "lake": "degraded", "stream": "down"}),
    ],
)
def test_health_names_what_is_gone_and_recovers(
    fragile: Instance, invoke: Invoker, service: str, check: str, modules: dict[str, str]
) -> None:
    # Given
    before = {module: invoke(f"{module}.check_health").json["status"] for module in modules}
    # When
    with fragile.without(service):
        answers = {module: invoke(f"{module}.check_health") for module in modules}
        alive = [invoke(f"{module}.check_health", path={"probe": "live"}) for module in modules]
    # Then
    assert set(before.values()) == {"up"}
    assert {module: answer.json["status"] for module, answer in answers.items()} == modules
    for module, answer in answers.items():
        assert answer.status == (503 if modules[module] == "down" else 200)
        assert _down(answer) == [check]
    assert [answer.status for answer in alive] == [200, 200, 200]
    assert invoke("nexus.check_health").json["status"] == "up"


@pytest.mark.parametrize(
    ("service", "check"),
    [("postgres", "postgresql"), ("redis", "redis"), ("rabbitmq", "rabbitmq")],
)
def test_health_answers_in_three_seconds_when_a_service_hangs(
    fragile: Instance, invoke: Invoker, service: str, check: str
) -> None:
    # Given connections that are idle, as those of an environment between two probes
    assert invoke("nexus.check_health").json["status"] == "up"
    # When
    with fragile.frozen(service):
        seconds, answers = [], []
        for _ in range(2):
            started = time.monotonic()
            answers.append(invoke("nexus.check_health"))
            seconds.append(time.monotonic() - started)
        # Nothing that asks is left behind, though the service still hangs.
        assert eventually(lambda: not _asking())
    # Then
    assert [_down(answer) for answer in answers] == [[check], [check]]
    assert max(seconds) < CHECK_TIMEOUT + SLACK
    assert invoke("nexus.check_health").json["status"] == "up"


@pytest.fixture
def cluster(
    database: str, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisCluster]:
    """Return a cluster that functions use."""
    made = RedisCluster(require_programs(default_paths(), {}), tmp_path, password="of-the-test")
    made.start()
    try:
        made.wait_ready(30)
        monkeypatch.setenv("REDIS_URL", made.url)
        settings.cache_clear()
        cache.forget()
        yield made
    finally:
        cache.forget()
        made.stop()


def test_a_cluster_that_lost_a_master_and_its_replica_is_down(
    cluster: RedisCluster, invoke: Invoker
) -> None:
    # Given
    assert invoke("nexus.check_health").json["status"] == "up"
    # When
    for node in cluster.nodes:
        if 0 in (node.number, node.master):
            pid = cluster.process(node).alive()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    def told() -> str:
        checks = {item["name"]: item for item in invoke("nexus.check_health").json["checks"]}
        detail = str(checks["redis"]["detail"])
        return detail if "slots" in detail else ""

    # Then
    assert "of 16,384 slots are served" in eventually(told, seconds=30)
