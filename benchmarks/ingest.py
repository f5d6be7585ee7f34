"""`lake.insert_records` beside raw COPY of the same rows.

    python benchmarks/ingest.py [--rows 1000 10000 70000] [--rounds 5]

In each round the same rows go, in turns, by COPY through psycopg into a bare table, by COPY into a table with
the key and index a dataset has, and by HTTP through the gateway and the function, validated, as CSV and as
JSON. The table shows the median rows a second and its ratio to the COPY into the same kind of table. It
starts a platform of its own in a temporary folder and stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import _support
from infrastructure.local.accounts import fetch_token
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.platform import Platform
from infrastructure.local.progress import Progress
from infrastructure.local.state import State

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "nullable": False},
    {"name": "day", "type": "date"},
    {"name": "value", "type": "number"},
    {"name": "station", "type": "text"},
    {"name": "ok", "type": "boolean"},
]
SQL_COLUMNS = "id bigint NOT NULL, day date, value double precision, station text, ok boolean"
BARE = f"CREATE TABLE public.bare ({SQL_COLUMNS})"
KEYED = (
    "CREATE TABLE public.keyed (_id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY, "
    f"{SQL_COLUMNS})"
)
COPY = "COPY public.{} (id, day, value, station, ok) FROM STDIN (FORMAT csv, HEADER)"
MAX_JSON = 4_500_000
_OURS = ("PATH", "HOME", "LANG", "TZ")


@contextlib.contextmanager
def running_platform() -> Iterator[tuple[dict[str, str], str]]:
    """Start a platform in a temporary folder; give its endpoints and a token; stop it."""
    with tempfile.TemporaryDirectory(prefix="datapunk-ingest-") as folder:
        paths = Paths(state=Path(folder), programs=PROJECT / ".datapunk")
        with running_in(paths) as started:
            yield started


@contextlib.contextmanager
def running_in(paths: Paths) -> Iterator[tuple[dict[str, str], str]]:
    """Start a platform; give its endpoints and a token; stop it."""
    kept = {name: os.environ[name] for name in _OURS if name in os.environ}
    platform = Platform(paths, kept)
    try:
        with Progress(io.StringIO(), live=False) as progress:
            platform.up(progress)
        endpoints = platform.endpoints()
        yield endpoints, fetch_token(endpoints["api"], State(paths), "demo")
    finally:
        with Progress(io.StringIO(), live=False) as progress:
            platform.down(progress)


def make_rows(count: int) -> list[dict[str, Any]]:
    """Return rows that are the same in every run."""
    chance = random.Random(1958)  # noqa: S311 -- test data, no secret
    first = dt.date(1958, 3, 29)
    return [
        {
            "id": number,
            "day": (first + dt.timedelta(days=number % 20_000)).isoformat(),
            "value": round(chance.random() * 400, 3),
            "station": f"station {number % 97}",
            "ok": number % 2 == 0,
        }
        for number in range(count)
    ]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV with a header."""
    lines = [",".join(column["name"] for column in COLUMNS)]
    for row in rows:
        ok = "true" if row["ok"] else "false"
        lines.append(f"{row['id']},{row['day']},{row['value']},{row['station']},{ok}")
    return ("\n".join(lines) + "\n").encode()


class Api:
    """One kept connection to the gateway, with a token that is good for a quarter of an hour."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=60)
        self.authorization = f"Bearer {token}"
        self.made = 0

    def post(self, path: str, body: bytes, media_type: str) -> dict[str, Any]:
        """Send a body; end the benchmark unless it is taken."""
        headers = {"Content-Type": media_type, "Authorization": self.authorization}
        self.connection.request("POST", path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != http.client.CREATED:
            raise SystemExit(f"{path} answered {answer.status}: {content[:300]!r}")
        return dict(json.loads(content))

    def insert_into_new(self, body: bytes, media_type: str, count: int) -> float:
        """Insert into an empty dataset; return the seconds the insert took."""
        self.made += 1
        name = f"rows_{self.made}"
        definition = json.dumps({"name": name, "columns": COLUMNS}).encode()
        self.post("/v1/lake/datasets", definition, "application/json")
        started = time.perf_counter()
        receipt = self.post(f"/v1/lake/datasets/{name}/records", body, media_type)
        elapsed = time.perf_counter() - started
        if receipt["inserted"] != count:
            raise SystemExit(f"{receipt['inserted']} rows were stored instead of {count}")
        return elapsed


def copy_into(connection: psycopg.Connection, table: str, body: bytes) -> float:
    """Copy into an emptied table; return the seconds the COPY took."""
    connection.execute(f"TRUNCATE public.{table}".encode())
    started = time.perf_counter()
    with connection.cursor().copy(COPY.format(table).encode()) as copy:
        copy.write(body)
    return time.perf_counter() - started


def measure(
    api: Api, connection: psycopg.Connection, count: int, rounds: int
) -> list[dict[str, Any]]:
    """Measure all ways with `count` rows; return a line of the table each."""
    rows = make_rows(count)
    csv_body, json_body = as_csv(rows), json.dumps(rows).encode()
    ways: dict[str, Callable[[], float]] = {
        "COPY, bare table": lambda: copy_into(connection, "bare", csv_body),
        "COPY, same key": lambda: copy_into(connection, "keyed", csv_body),
        "insert_records, CSV": lambda: api.insert_into_new(csv_body, "text/csv", count),
    }
    if len(json_body) <= MAX_JSON:
        ways["insert_records, JSON"] = lambda: api.insert_into_new(
            json_body, "application/json", count
        )
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    base = seconds["COPY, same key"]
    return [
        {
            "rows": count,
            "way": name,
            "rows/s": round(count / statistics.median(times)),
            "ms": statistics.median(times) * 1000,
            "of COPY, same key": statistics.median(
                copied / taken for copied, taken in zip(base, times, strict=True)
            ),
        }
        for name, times in seconds.items()
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 70_000])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(_support.machine())
    with running_platform() as (endpoints, token):
        api = Api(endpoints["api"], token)
        with psycopg.connect(endpoints["database"], autocommit=True) as connection:
            connection.execute(BARE.encode())
            connection.execute(KEYED.encode())
            lines = [
                line
                for count in given.rows
                for line in measure(api, connection, count, given.rounds)
            ]
    print(_support.table(lines))
    print("written:", _support.save("ingest", {"lines": lines}).name)


if __name__ == "__main__":
    main()
