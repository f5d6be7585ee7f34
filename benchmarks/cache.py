"""A read by key through the cache beside a raw Redis GET of the same bytes, with and without the HTTP edge.

    python benchmarks/cache.py [--requests 2000] [--rounds 7]

In each round every way reads the same definition of a dataset in turns. The budget: a request that reads by
key through the cache takes at most twice as long as one that does a raw GET. It starts a PostgreSQL and a
Redis of its own in a temporary folder and stops them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from datapunk import cache
from datapunk.cache.local import LOCAL
from datapunk.cache.namespaces import LAKE_DATASET, Place
from datapunk.cache.reading import read
from datapunk.database import transaction
from datapunk.database.migrations import migrate
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.identity import Caller
from datapunk.lake.datasets import Dataset, DatasetDefinition, find_dataset
from datapunk.lake.definitions import DEFINITIONS, create_definition, read_definition
from datapunk.settings import settings

from benchmarks import _support
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.redis import Redis
from infrastructure.local.services.service import Service
from tests.support.lambda_context import LambdaContext
from tests.support.samples import http_event

TENANT, NAME = "acme", "co2_weekly"
RAW, EDGE = "raw Redis GET", "edge and raw Redis GET"
READY_SECONDS = 60.0


@contextlib.contextmanager
def running_services() -> Iterator[None]:
    """Start PostgreSQL and Redis in a temporary folder, let functions use them, stop them."""
    with tempfile.TemporaryDirectory(prefix="datapunk-cache-") as folder:
        paths = Paths(state=Path(folder), programs=PROJECT / ".datapunk")
        servers: list[Service] = [Postgres(paths, {}), Redis(paths, {})]
        try:
            with Progress(io.StringIO(), live=False):
                for server in servers:
                    server.start()
                    server.wait_ready(READY_SECONDS)
            os.environ["DATABASE_URL"] = servers[0].endpoints()["database"]
            os.environ["REDIS_URL"] = servers[1].endpoints()["redis"]
            settings.cache_clear()
            migrate(settings().database())
            yield
        finally:
            cache.forget()
            for server in servers:
                server.stop()


def ways() -> dict[str, Callable[[], object]]:
    """Return each way to read the definition."""
    definition = DatasetDefinition.model_validate(
        {
            "name": NAME,
            "description": "Weekly CO2 at Mauna Loa",
            "columns": [{"name": f"column_{number}", "type": "number"} for number in range(8)],
        }
    )
    with transaction(Caller("user:ada", TENANT)) as tx:
        dataset = create_definition(tx, definition).dataset
    client, key = cache.client(), Place(LAKE_DATASET, TENANT, NAME).keys()[0]
    event, context = http_event("lake.get_dataset", tenant=TENANT), LambdaContext(3_600)
    guard = Guard(limited=False)
    alone, handle_alone = http_function("lake.get_dataset", guard=guard)
    cached, handle_cached = http_function("lake.get_dataset", guard=guard)

    @alone.get("/v1/lake/datasets/<name>")
    def answer(name: str) -> Dataset:  # noqa: ARG001 -- the edge reads it from the path
        client.get(key)
        return dataset

    @cached.get("/v1/lake/datasets/<name>")
    def look_up(name: str) -> Dataset:
        return read_definition(TENANT, name).dataset

    def from_redis() -> object:
        LOCAL.clear()
        return read(DEFINITIONS, TENANT, NAME)

    def from_redis_by_http() -> object:
        LOCAL.clear()
        return handle_cached(event, context)

    return {
        RAW: lambda: client.get(key),
        "cache, from Redis": from_redis,
        "cache, from memory": lambda: read(DEFINITIONS, TENANT, NAME),
        EDGE: lambda: handle_alone(event, context),
        "edge and cache, from Redis": from_redis_by_http,
        "edge and cache, from memory": lambda: handle_cached(event, context),
        "the database": _from_database,
    }


def _from_database() -> object:
    with transaction(Caller("user:ada", TENANT)) as tx:
        return find_dataset(tx, NAME)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(_support.machine())
    with (
        running_services(),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        lines = measure(given)
    print(_support.table(lines))
    print("written:", _support.save("cache", {"lines": lines}).name)


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one line for each way."""
    found = ways()
    middle: dict[str, list[float]] = {name: [] for name in found}
    fast: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(given.rounds):
        for name, work in found.items():
            taken = _support.timed(work, count=given.requests)
            middle[name].append(statistics.median(taken) * 1e6)
            fast[name].append(_support.percentile(taken, 0.1) * 1e6)
    return [
        {
            "way": name,
            "us a read (median)": statistics.median(middle[name]),
            "us (fastest tenth)": statistics.median(fast[name]),
            "of a raw GET": _ratio(fast[name], fast[RAW]),
            "of edge and raw GET": _ratio(fast[name], fast[EDGE]),
        }
        for name in found
    ]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Return how much longer ours takes, by the fastest tenth of each round: neighbours disturb it less."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    main()
