"""`lake.search_records`: how many of the nearest it finds, and how much faster than comparing all rows.

    python benchmarks/lake_search.py [--rows 1000 100000] [--queries 100] [--dimension 64]

Rows are vectors as models make them: points of a few dozen topics, in fewer directions than they have
numbers. Each query is asked twice, by the index with the default settings and with `exact`, which compares
all rows. The table shows recall@10 (the share of the ten nearest that were found), medians of the time of a
query, and their ratio. It fails below a recall of 0.95. The servers are of its own, in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from datapunk.database import transaction
from datapunk.database.migrations import migrate
from datapunk.identity import Caller
from datapunk.lake.datasets import OWNER_ROLE, Dataset, create_dataset
from datapunk.lake.definition import DatasetDefinition
from datapunk.lake.search import search_records
from datapunk.lake.search_request import Search
from psycopg import sql

from benchmarks import _support
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.service import READY_SECONDS

CALLER = Caller("user:benchmark", "benchmark")
DIRECTIONS = 24
TOPICS = 50
SPREAD = 0.5
LEAST = 0.95
CHUNK = 1_000
WARM = 5


class Vectors:
    """Makes vectors whose numbers come of fewer directions, around topics."""

    def __init__(self, dimension: int) -> None:
        self.chance = random.Random(20261128)  # noqa: S311 -- data
        self.directions = [self._normal(dimension) for _ in range(DIRECTIONS)]
        self.topics = [self._normal(DIRECTIONS) for _ in range(TOPICS)]

    def _normal(self, count: int) -> list[float]:
        return [self.chance.gauss(0, 1) for _ in range(count)]

    def make(self) -> list[float]:
        """Return a vector."""
        topic = self.chance.choice(self.topics)
        place = [middle + SPREAD * self.chance.gauss(0, 1) for middle in topic]
        columns = zip(*self.directions, strict=True)
        return [
            round(sum(a * b for a, b in zip(place, column, strict=True)), 5) for column in columns
        ]


def fill(name: str, count: int, vectors: Vectors, dimension: int) -> tuple[Dataset, float]:
    """Create a dataset of `count` rows; return it and the seconds that its rows took."""
    columns: list[Any] = [
        {"name": "id", "type": "integer"},
        {"name": "embedding", "type": "vector", "vector": {"dimension": dimension}},
    ]
    definition = DatasetDefinition.model_validate({"name": name, "columns": columns, "key": ["id"]})
    with transaction(CALLER) as tx:
        dataset = create_dataset(tx, definition)
    seconds = 0.0
    for start in range(0, count, CHUNK):
        lines = [
            f'{number},"{json.dumps(vectors.make())}"\n'
            for number in range(start, min(start + CHUNK, count))
        ]
        started = time.perf_counter()
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(dataset.table)
        with transaction(CALLER) as tx, tx.acting_as(OWNER_ROLE), tx.copy(statement) as copy:
            copy.write("".join(lines))
        seconds += time.perf_counter() - started
    with transaction(CALLER) as tx, tx.acting_as(OWNER_ROLE):
        tx.execute(sql.SQL("ANALYZE {}").format(dataset.table))
    return dataset, seconds


def ask(dataset: Dataset, vector: list[float], *, exact: bool) -> tuple[list[int], float]:
    """Return the ids of the ten nearest, and the seconds that it took."""
    search = Search.model_validate(
        {"queries": [{"vector": vector}], "exact": exact, "select": "id"}
    )
    started = time.perf_counter()
    with transaction(CALLER) as tx:
        answer = search_records(tx, dataset, search, most=10_000)
    seconds = time.perf_counter() - started
    (result,) = json.loads(answer)["results"]
    return [hit["record"]["id"] for hit in result["items"]], seconds


def measure(dataset: Dataset, vectors: Vectors, queries: int) -> dict[str, float]:
    """Return recall and medians of both ways, asked in turns."""
    found, times = 0, {False: [0.0] * 0, True: [0.0] * 0}
    for _ in range(WARM):
        ask(dataset, vectors.make(), exact=False)
    for _ in range(queries):
        vector = vectors.make()
        ids: dict[bool, list[int]] = {}
        for exact in (False, True):
            ids[exact], seconds = ask(dataset, vector, exact=exact)
            times[exact].append(seconds)
        found += len(set(ids[False]) & set(ids[True]))
    by_index, by_all = (statistics.median(times[exact]) * 1000 for exact in (False, True))
    return {
        "recall@10": found / (10 * queries),
        "index, ms": by_index,
        "exact, ms": by_all,
        "times as fast": by_all / by_index,
    }


def running_database(folder: str) -> Iterator[str]:
    """Start PostgreSQL in a folder; give the URL of its migrated database; stop it."""
    postgres = Postgres(Paths(state=Path(folder), programs=PROJECT / ".datapunk"), {})
    try:
        postgres.start()
        postgres.wait_ready(READY_SECONDS)
        url = postgres.endpoints()["database"]
        migrate(url)
        yield url
    finally:
        postgres.stop()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--dimension", type=int, default=64)
    given = parser.parse_args()
    print(_support.machine())
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="datapunk-search-") as folder:
        for url in running_database(folder):
            os.environ["DATABASE_URL"] = url
            vectors = Vectors(given.dimension)
            for count in given.rows:
                dataset, seconds = fill(f"rows_{count}", count, vectors, given.dimension)
                found = measure(dataset, vectors, given.queries)
                lines.append({"rows": f"{count:,}", **found, "rows/s in": count / seconds})
    print(_support.table(lines))
    print("written:", _support.save("lake_search", {"lines": lines}).name)
    if worst := [line for line in lines if line["recall@10"] < LEAST]:
        raise SystemExit(f"recall@10 is below {LEAST}: {worst}")


if __name__ == "__main__":
    main()
