"""`lake.read_rest` beside the same SQL through psycopg alone, over tables of growing size.

    python benchmarks/lake_query.py [--rows 1000 100000 1000000] [--calls 60]

Each question is asked in turns: over HTTP through gateway, authorizer and function, as a PostgREST client
would, and by executing the very statement that it is compiled to on an open connection. The table shows
medians, their ratio, and what our way adds. No PostgREST server can be installed from PyPI, npm or Debian, so
there is none beside it. The benchmark starts a platform of its own in a temporary folder and stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake.datasets import find_dataset
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.rest.documents import document_columns
from datapunk.lake.rest.requests import read_request
from datapunk.lake.rest.resolving import resolve
from datapunk.lake.sql_parts import Statement
from psycopg import sql

from benchmarks import _support
from benchmarks.ingest import COLUMNS, as_csv, make_rows
from infrastructure.local.accounts import fetch_token
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.platform import Platform
from infrastructure.local.progress import Progress

TENANT = "public"
CHUNK = 50_000
MOST = 10_000
UNLIMITED = """
INSERT INTO nexus.rate_limits (tenant, quota, window_seconds) VALUES ('*', 1000000, 60)
"""
QUESTIONS = {
    "one row by key": "id=eq.{middle}",
    "100 of a filter": "value=gte.200&order=id&limit=100",
    "1,000 rows": "order=id&limit=1000",
    "groups of all": "select=station,count(),most:value.max()&order=station",
    "or, in, count": "or=(id.lt.50,station.in.(station 1))&order=id&limit=20",
}
_OURS = ("PATH", "HOME", "LANG", "TZ")


@contextlib.contextmanager
def running_platform() -> Iterator[tuple[dict[str, str], str]]:
    """Start a platform in a temporary folder; give its endpoints and a token; stop it."""
    with tempfile.TemporaryDirectory(prefix="datapunk-query-") as folder:
        paths = Paths(state=Path(folder), programs=PROJECT / ".datapunk")
        kept = {name: os.environ[name] for name in _OURS if name in os.environ}
        platform = Platform(paths, kept)
        try:
            with Progress(io.StringIO(), live=False) as progress:
                platform.up(progress)
            endpoints = platform.endpoints()
            with psycopg.connect(endpoints["database"]) as connection:
                connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
                connection.execute(UNLIMITED)
            yield endpoints, fetch_token(endpoints["api"], platform.state, "demo")
        finally:
            with Progress(io.StringIO(), live=False) as progress:
                platform.down(progress)


class Api:
    """One kept connection to the gateway."""

    def __init__(self, url: str, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=60)
        self.authorization = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        """Send a request; end the benchmark unless it succeeds."""
        headers = {**self.authorization, **({"Content-Type": kind} if kind else {})}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise SystemExit(f"{path} answered {answer.status}: {content[:300]!r}")
        return content

    def fill(self, name: str, count: int) -> None:
        """Create a dataset of `count` rows."""
        definition = json.dumps({"name": name, "columns": COLUMNS, "key": ["id"]}).encode()
        self.call("POST", "/v1/lake/datasets", definition, "application/json")
        rows = make_rows(count)
        self.connection.close()  # idle meanwhile, so the gateway may have closed its side
        for start in range(0, count, CHUNK):
            body = as_csv(rows[start : start + CHUNK])
            self.call("POST", f"/v1/lake/datasets/{name}/records", body, "text/csv")


def compiled(name: str, question: str) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement that a question is compiled to, and its parameters."""
    with transaction(Caller("user:benchmark", TENANT)) as tx:
        request = read_request(parse_qs(question), {})
        select = resolve(tx, find_dataset(tx, name), request, MOST)
        made = Statement(Disclosure(tx))
        rows = made.select(select)
    columns = document_columns(select, request.form)
    return sql.SQL("SELECT {} FROM ({}) AS rows").format(columns, rows), made.parameters


def measure(
    api: Api, connection: psycopg.Connection, name: str, count: int, calls: int
) -> Iterator[dict[str, Any]]:
    """Yield a line of the table for each question."""
    for title, shape in QUESTIONS.items():
        question = shape.format(middle=count // 2)
        statement, parameters = compiled(name, question)
        path = f"/v1/lake/rest/{name}?{quote(question, safe='=&(),.')}"
        answer = connection.execute(statement, parameters).fetchone()
        expected = f"[{answer[1]}]".encode() if answer else b""
        if api.call("GET", path) != expected:
            raise SystemExit(f"{question}: the two ways answer differently")
        ways: dict[str, Callable[[], object]] = {
            "http": lambda path=path: api.call("GET", path),  # type: ignore[misc]
            "psycopg": lambda s=statement, p=parameters: connection.execute(s, p).fetchone(),  # type: ignore[misc]
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        # Fewer calls where one takes long: the median of ten says enough about a second.
        for _ in range(calls if count < MOST * MOST // 100 else max(calls // 4, 5)):
            for way, work in ways.items():
                started = time.perf_counter()
                work()
                seconds[way].append(time.perf_counter() - started)
        ours, alone = (statistics.median(seconds[way]) * 1000 for way in ("http", "psycopg"))
        yield {
            "rows": f"{count:,}",
            "question": title,
            "read_rest, ms": ours,
            "psycopg alone, ms": alone,
            "ratio": ours / alone,
            "added, ms": ours - alone,
        }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=60)
    given = parser.parse_args()
    print(_support.machine())
    with running_platform() as (endpoints, token):
        os.environ["DATABASE_URL"] = endpoints["database"]
        api = Api(endpoints["api"], token)
        lines: list[dict[str, Any]] = []
        with psycopg.connect(endpoints["database"], autocommit=True) as connection:
            connection.execute("SELECT set_config('datapunk.tenant', %s, false)", (TENANT,))
            for count in given.rows:
                api.fill(f"rows_{count}", count)
                lines += measure(api, connection, f"rows_{count}", count, given.calls)
    print(_support.table(lines))
    print("written:", _support.save("lake_query", {"lines": lines}).name)


if __name__ == "__main__":
    main()
