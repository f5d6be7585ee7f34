"""The platform's rate limit beside the strategies of the `limits` library, on the same Redis.

    python benchmarks/rate_limit.py [--requests 900] [--rounds 5] [--processes 50]

In each round every way counts the same number of requests of a new client in turns; all may pass. Then
50 processes ask for more than the quota at once: exactly the quota may pass. Memory is what Redis holds for
one client that has used up a quota of 1,000. It starts a Redis of its own in a temporary folder and stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

import redis
from datapunk import cache
from datapunk.identity import Caller
from datapunk.limits import check_rate
from datapunk.settings import settings
from limits import RateLimitItem, RateLimitItemPerDay
from limits.storage import RedisStorage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from benchmarks import _support
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services.redis import Redis

OURS = "datapunk.limits (GCRA, capped)"
QUOTA = 1_000
ROUTE = "lake.get_dataset"
READY_SECONDS = 30.0
THEIRS: dict[str, type[RateLimiter]] = {
    "limits: fixed window": FixedWindowRateLimiter,
    "limits: sliding window counter": SlidingWindowCounterRateLimiter,
    "limits: moving window": MovingWindowRateLimiter,
}
Ask = Callable[[str], bool]


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """Start a Redis in a temporary folder; give its URL; stop it."""
    with tempfile.TemporaryDirectory(prefix="datapunk-limits-") as folder:
        paths = Paths(state=Path(folder), programs=PROJECT / ".datapunk")
        server = Redis(paths, {})
        try:
            with Progress(io.StringIO(), live=False):
                server.start()
                server.wait_ready(READY_SECONDS)
            yield server.endpoints()["redis"]
        finally:
            server.stop()


def ways(url: str) -> dict[str, Ask]:
    """Return each way to ask whether a client may send one more."""
    storage = RedisStorage(url)
    item = RateLimitItemPerDay(QUOTA)
    found: dict[str, Ask] = {OURS: lambda client: check_rate(Caller(client), ROUTE).allowed}
    for name, strategy in THEIRS.items():
        limiter = strategy(storage)

        found[name] = functools.partial(_hit, limiter, item, name)
    return found


def _hit(limiter: RateLimiter, item: RateLimitItem, way: str, client: str) -> bool:
    return bool(limiter.hit(item, way, client))


def passed(name: str, url: str, processes: int) -> int:
    """Return how many of a client's requests pass when `processes` send more than the quota at once."""
    context = multiprocessing.get_context("fork")
    start, total = context.Barrier(processes), context.Value("i", 0)
    each = 2 * QUOTA // processes

    def work() -> None:
        cache.forget()
        ask = ways(url)[name]
        ask("warm-up")
        start.wait(60)
        own = sum(ask("many") for _ in range(each))
        with total.get_lock():
            total.value += own

    children = [context.Process(target=work) for _ in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    return int(total.value)


def memory(ask: Ask, server: redis.Redis) -> int:
    """Return the bytes Redis holds for one client that has used up its quota."""
    server.flushdb()
    for _ in range(QUOTA):
        ask("one")
    return sum(int(server.memory_usage(key) or 0) for key in server.keys("*"))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=50)
    given = parser.parse_args()
    print(_support.machine())
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- closed with the process
    with running_redis() as url, redis.Redis.from_url(url) as server:
        os.environ["REDIS_URL"] = url
        settings.cache_clear()
        with contextlib.redirect_stdout(nowhere):
            lines = measure(url, server, given)
        cache.forget()
    print(_support.table(lines))
    print("written:", _support.save("rate_limit", {"lines": lines}).name)


def measure(url: str, server: redis.Redis, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one line for each way."""
    found = ways(url)
    times: dict[str, list[float]] = {name: [] for name in found}
    for number in range(given.rounds):
        for name, ask in found.items():
            work = functools.partial(ask, f"client-{number}")
            taken = _support.timed(work, count=given.requests)
            times[name].append(statistics.median(taken) * 1e6)
    lines = []
    for name, ask in found.items():
        held = memory(ask, server)
        server.flushdb()
        lines.append(
            {
                "way": name,
                "us a request (median)": statistics.median(times[name]),
                "bytes a client": held,
                f"of {2 * QUOTA} by {given.processes} processes passed": passed(
                    name, url, given.processes
                ),
            }
        )
    return lines


if __name__ == "__main__":
    main()
