"""The cache on a cluster of three masters and three replicas: no CROSSSLOT, and a master that is killed."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from datapunk import cache, limits
from datapunk.cache import repair, warming, writing
from datapunk.cache.namespaces import Place
from datapunk.cache.reading import forget, read
from datapunk.lake import storage_usage
from datapunk.settings import settings

from infrastructure.local.paths import default_paths
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.redis_cluster import RedisCluster
from tests.support.notes import CACHED, NOTES, TENANT, Environment, write_note

MAX_LAG = 5.0
KEYS = [f"k{number}" for number in range(500)]
ROUNDS = 2
"""Rounds of 500 keys: a thousand trials."""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(notes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisCluster]:
    """Return a cluster that all environments use."""
    made = RedisCluster(require_programs(default_paths(), {}), tmp_path, password="of-the-test")
    made.start()
    try:
        made.wait_ready(30)
        monkeypatch.setenv("REDIS_URL", made.url)
        settings.cache_clear()
        cache.forget()
        limits.forget()
        forget()
        yield made
    finally:
        cache.forget()
        limits.forget()
        forget()
        made.stop()
        with warnings.catch_warnings():
            # The driver leaves connections to a node that has gone to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@dataclass
class Ledger:
    """What was written when, and what was read when: both in seconds since 1970."""

    written: dict[str, list[float]] = field(default_factory=dict)
    trials: int = 0
    stale: list[str] = field(default_factory=list)

    def write(self, key: str) -> None:
        """Write the next number of a key."""
        times = self.written.setdefault(key, [])
        write_note(key, str(len(times)))
        times.append(time.time())

    def judge(self, asked: float, key: str, text: str | None) -> None:
        """Compare what a reader was told with what had been written `MAX_LAG` before he asked."""
        self.trials += 1
        due = [number for number, at in enumerate(self.written[key]) if at < asked - MAX_LAG]
        if text is None or int(text) < due[-1]:
            self.stale.append(f"{key}: {text}, not {due[-1]}")


def test_every_use_works_wherever_its_keys_lie(cluster: RedisCluster) -> None:
    # Given
    assert isinstance(cache.client(), redis.RedisCluster)
    # When
    versions = {key: write_note(key, f"text of {key}") for key in KEYS[:60]}
    write_note(KEYS[0], None)
    forget()
    found = {key: read(CACHED, TENANT, key) for key in KEYS[:60]}
    warmed = warming.warm(CACHED)
    swept = repair.sweep_all()
    writing.invalidate(NOTES.name, TENANT, KEYS[1], "test")
    one = read(CACHED, TENANT, KEYS[1])
    writing.invalidate(NOTES.name, TENANT, None, "test")
    writing.invalidate(NOTES.name, None, None, "test")
    forget()
    void = [read(CACHED, TENANT, key).answered for key in KEYS[1:20]]
    held = storage_usage.in_cache()[storage_usage.WHOLE]
    # Then
    told = cache.client().info("memory", target_nodes="primaries")
    assert len(told) == 3
    assert held == pytest.approx(sum(node["used_memory"] for node in told.values()), rel=0.25)
    assert {found[key].answered for key in KEYS[:60]} == {"hit-l2"}
    assert {key: item.version for key, item in found.items() if key != KEYS[0]} == {
        key: version for key, version in versions.items() if key != KEYS[0]
    }
    assert found[KEYS[0]].value is None
    assert warmed == {"hot": 60, "loaded": 0}
    assert swept.complete
    assert one.answered == "miss"
    assert set(void) == {"miss"}
    nodes = {
        cache.client().keyslot(Place(NOTES, TENANT, key).keys()[0]) // 5461  # type: ignore[attr-defined]
        for key in KEYS
    }
    assert nodes == {0, 1, 2}
    left = [key for key in cache.client().scan_iter("cache:*") if int(cache.client().ttl(key)) < 0]
    assert left == []


def test_a_thousand_trials_with_a_stopped_process_and_a_killed_master_find_nothing_stale(
    cluster: RedisCluster,
) -> None:
    # Given two environments that have read everything, and a third that goes on reading
    ledger, busy = Ledger(), Ledger()
    for key in KEYS:
        ledger.write(key)
    time.sleep(MAX_LAG)
    busy.written = ledger.written
    other, third = Environment.start(), Environment.start()
    ended = threading.Event()

    def go_on_reading() -> None:
        while not ended.is_set():
            for place, (asked, text, _) in enumerate(third.read(KEYS[:50])):
                busy.judge(asked, KEYS[place], text)

    try:
        other.read(KEYS)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(go_on_reading)
            for turn in range(1, ROUNDS + 1):
                # When one of them is stopped between its calls, and in the first round a master is killed
                other.stop()
                for place, key in enumerate(KEYS):
                    if turn == 1 and place == len(KEYS) // 2:
                        _kill(cluster)
                    ledger.write(key)
                time.sleep(MAX_LAG)
                other.go_on()
                for place, (asked, text, _) in enumerate(other.read(KEYS)):
                    ledger.judge(asked, KEYS[place], text)
            ended.set()
            load.result(60)
    finally:
        ended.set()
        other.go_on()
        other.end()
        third.end()
    # Then nobody was told anything old, and every write and read has succeeded
    assert ledger.trials == len(KEYS) * ROUNDS == 1000
    assert ledger.stale == []
    assert busy.stale == []
    assert busy.trials > 1000
    # And Redis is used again, with nothing left to repair
    repair.sweep_all()
    forget()
    read(CACHED, TENANT, KEYS[0])
    assert repair.pending() == 0
    assert read(CACHED, TENANT, KEYS[1]).answered in ("hit-l2", "miss")
    again = [read(CACHED, TENANT, key) for key in KEYS[2:]]
    assert {item.value for item in again} == {str(ROUNDS)}
    assert "bypass" not in {item.answered for item in again}


def _kill(cluster: RedisCluster) -> None:
    """End the first master without a word."""
    pid = cluster.process(cluster.nodes[0]).alive()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
