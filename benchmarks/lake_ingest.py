"""A file through a pre-signed upload beside raw COPY and a hand-written service, and what memory each takes.

    python benchmarks/lake_ingest.py [--rows 1000 100000 1000000] [--rounds 3]

In each round the same file of CSV goes, in turns, by COPY through psycopg into a bare table, by COPY into a
table with the key a dataset has, by a request to a service of FastAPI and psycopg as one would write it by
hand (`_ingest_peer.py`) into the same table, and through `lake.create_upload`: put to storage, loaded by the
function that the storage's event starts, and waited for. The table shows the median seconds, the ratios to
the COPY into the same kind of table and to the service, and the most memory that the function and the service
have used so far. It starts a platform of its own in a temporary folder and stops it. Only the upload's time
has waits in it, of 50 ms or a hundredth of it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import _support
from benchmarks._peers import MOST_SECONDS, POLL_SECONDS, Peer
from benchmarks.ingest import BARE, COLUMNS, COPY, KEYED, Api, running_in
from infrastructure.local.paths import PROJECT, Paths

PIECE = 1024 * 1024
USED = re.compile(rb"Max Memory Used: (\d+) MB")
HEADER = ",".join(column["name"] for column in COLUMNS)


def write_file(path: Path, count: int) -> None:
    """Write rows that are the same in every run."""
    chance = random.Random(1958)  # noqa: S311 -- test data, no secret
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        for number in range(count):
            day = f"{1958 + number % 60}-0{1 + number % 9}-{10 + number % 19}"
            value = round(chance.random() * 400, 3)
            ok = "true" if number % 2 else "false"
            file.write(f"{number},{day},{value},station {number % 97},{ok}\n")


class Uploads:
    """Uploads files into datasets of their own, with one token."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.made = 0

    def load(self, path: Path, count: int) -> float:
        """Load a file; return the seconds from the first byte sent to the last row stored."""
        self.made += 1
        name = f"files_{self.made}"
        definition = json.dumps({"name": name, "columns": COLUMNS}).encode()
        self.api.connection.close()  # idle meanwhile, so the gateway may have closed its side
        self.api.post("/v1/lake/datasets", definition, "application/json")
        wanted = b'{"media_type": "text/csv"}'
        made = self.api.post(f"/v1/lake/datasets/{name}/uploads", wanted, "application/json")
        started = time.perf_counter()
        size = path.stat().st_size
        with path.open("rb") as file:
            # The address is the platform's own, on this machine.
            request = urllib.request.Request(
                made["upload"]["url"], file, {"Content-Length": str(size)}, method="PUT"
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(request, timeout=120).close()
        job = self._wait(made["url"])
        elapsed = time.perf_counter() - started
        if (job["state"], job["inserted"], job["rows_read"]) != ("done", count, count):
            raise SystemExit(f"{count} rows became {job}")
        return elapsed

    def _wait(self, url: str) -> dict[str, Any]:
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < MOST_SECONDS:
            job = self._get(url)
            if job["state"] in ("done", "failed"):
                return job
            # A hundredth of what was waited already: a client may ask 1,000 times a minute.
            time.sleep(max(POLL_SECONDS, waited / 100))
        raise SystemExit(f"not loaded after {MOST_SECONDS:g} s: {job}")

    def _get(self, path: str) -> dict[str, Any]:
        connection = self.api.connection
        connection.request("GET", path, headers={"Authorization": self.api.authorization})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"{path} answered {answer.status}: {content[:300]!r}")
        return dict(json.loads(content))


def copy_file(connection: psycopg.Connection, table: str, path: Path) -> float:
    """Copy a file into an emptied table; return the seconds the COPY took."""
    connection.execute(f"TRUNCATE public.{table}".encode())
    started = time.perf_counter()
    with (
        path.open("rb") as file,
        connection.cursor().copy(COPY.format(table).encode()) as copy,
    ):
        while piece := file.read(PIECE):
            copy.write(piece)
    return time.perf_counter() - started


def serve_file(peer: Peer, connection: psycopg.Connection, path: Path, count: int) -> float:
    """Have the service written by hand store a file in an emptied table; return the seconds it took."""
    connection.execute("TRUNCATE public.keyed")
    peer.connection.close()  # idle meanwhile, so it may have closed its side
    started = time.perf_counter()
    with path.open("rb") as file:
        said = json.loads(peer.put("/rows", file, path.stat().st_size, "text/csv"))
    if said != {"inserted": count}:
        raise SystemExit(f"{count} rows became {said}")
    return time.perf_counter() - started


def memory_used(logs: Path, runs: int) -> int:
    """Return the most memory that the function says it has used, in MB, once it has ended so often."""
    (log,) = logs.rglob("lake.load_upload.log")
    begun = time.monotonic()
    while len(found := USED.findall(log.read_bytes())) < runs:
        if time.monotonic() - begun > MOST_SECONDS:
            raise SystemExit(f"the function has ended {len(found)} times instead of {runs}")
        time.sleep(POLL_SECONDS)
    return max(map(int, found))


def measure(
    uploads: Uploads,
    peer: Peer,
    connection: psycopg.Connection,
    path: Path,
    count: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """Measure all ways with one file; return a line of the table each."""
    ways: dict[str, Callable[[], float]] = {
        "COPY, bare table": lambda: copy_file(connection, "bare", path),
        "COPY, same key": lambda: copy_file(connection, "keyed", path),
        "FastAPI + psycopg": lambda: serve_file(peer, connection, path, count),
        "upload": lambda: uploads.load(path, count),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    base, service = seconds["COPY, same key"], seconds["FastAPI + psycopg"]
    return [
        {
            "rows": count,
            "way": name,
            "rows/s": round(count / statistics.median(times)),
            "seconds": statistics.median(times),
            "of COPY, same key": statistics.median(
                copied / taken for copied, taken in zip(base, times, strict=True)
            ),
            "of FastAPI": statistics.median(
                served / taken for served, taken in zip(service, times, strict=True)
            ),
        }
        for name, times in seconds.items()
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(_support.machine())
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="datapunk-uploads-") as folder:
        paths = Paths(state=Path(folder) / "platform", programs=PROJECT / ".datapunk")
        with (
            running_in(paths) as (endpoints, token),
            psycopg.connect(endpoints["database"], autocommit=True) as connection,
            contextlib.ExitStack() as closing,
        ):
            connection.execute(BARE.encode())
            connection.execute(KEYED.encode())
            uploads = Uploads(Api(endpoints["api"], token))
            script = Path(__file__).with_name("_ingest_peer.py")
            peer = closing.enter_context(
                contextlib.closing(Peer(Path(sys.executable), script, endpoints["database"]))
            )
            for count in sorted(given.rows):
                path = Path(folder) / f"{count}.csv"
                write_file(path, count)
                measured = measure(uploads, peer, connection, path, count, given.rounds)
                used = {
                    "upload": memory_used(paths.state, uploads.made),
                    "FastAPI + psycopg": peer.memory_used(),
                }
                lines += [{**line, "MB used": used.get(line["way"], "")} for line in measured]
    print(_support.table(lines))
    print("written:", _support.save("lake_ingest", {"lines": lines}).name)


if __name__ == "__main__":
    main()
