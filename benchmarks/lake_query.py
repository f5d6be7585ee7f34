"""`lake.read_rest` beside the same SQL through psycopg alone, over tables of growing size.

    python benchmarks/lake_query.py [--rows 1000 100000 1000000] [--calls 60]

Each question is asked in turns: over HTTP through gateway, authorizer and function, as a PostgREST client
would; of Piccolo's CRUD endpoints, which have no sign-in, over the same rows in a plain table, where they
know such a question; and by executing the very statement that it is compiled to on an open connection. The
table shows medians, their ratios, and what our way adds to the statement. PostgREST's own server cannot be
installed from PyPI, npm or Debian. The benchmark starts a platform of its own in a temporary folder and
stops it.
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
from benchmarks._peers import Peer
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
PEER_QUESTIONS = {
    "one row by key": "{middle}/",
    "100 of a filter": "?value=200&value__operator=gte&__order=id&__page_size=100",
    "1,000 rows": "?__order=id&__page_size=1000",
}
"""The same for Piccolo, which has neither groups nor `or`."""
PEERS = PROJECT / ".datapunk/venvs/peers/bin/python"
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


@contextlib.contextmanager
def running_peer(database: str, connection: psycopg.Connection, name: str) -> Iterator[Peer]:
    """Copy a dataset's rows into a plain table, serve that by Piccolo, and stop it."""
    with transaction(Caller("user:benchmark", TENANT)) as tx:
        table = find_dataset(tx, name).table
    copied = sql.SQL("CREATE TABLE public.{} AS SELECT id, day, value, station, ok FROM {}")
    connection.execute(copied.format(sql.Identifier(name), table))
    key = sql.SQL("ALTER TABLE public.{} ADD PRIMARY KEY (id)")
    connection.execute(key.format(sql.Identifier(name)))
    connection.execute(sql.SQL("ANALYZE public.{}").format(sql.Identifier(name)))
    peer = Peer(PEERS, Path(__file__).with_name("_query_peer.py"), database, name)
    with contextlib.closing(peer):
        yield peer


def measure(
    api: Api, peer: Peer, connection: psycopg.Connection, name: str, count: int, calls: int
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
        if title in PEER_QUESTIONS:
            asked = f"/{name}/{PEER_QUESTIONS[title].format(middle=count // 2)}"
            rows = json.loads(peer.get(asked))
            found = len(rows["rows"]) if "rows" in rows else 1
            if found != len(json.loads(expected)):
                raise SystemExit(f"{asked}: the peer answers {found} rows")
            ways["piccolo"] = lambda asked=asked: peer.get(asked)  # type: ignore[misc]
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        # Fewer calls where one takes long: the median of ten says enough about a second.
        for _ in range(calls if count < MOST * MOST // 100 else max(calls // 4, 5)):
            for way, work in ways.items():
                started = time.perf_counter()
                work()
                seconds[way].append(time.perf_counter() - started)
        ours, alone = (statistics.median(seconds[way]) * 1000 for way in ("http", "psycopg"))
        others = seconds.get("piccolo")
        theirs = statistics.median(others) * 1000 if others else None
        yield {
            "rows": f"{count:,}",
            "question": title,
            "read_rest, ms": ours,
            "psycopg alone, ms": alone,
            "ratio": ours / alone,
            "added, ms": ours - alone,
            "Piccolo, ms": theirs,
            "of Piccolo": ours / theirs if theirs else None,
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
                name = f"rows_{count}"
                api.fill(name, count)
                with running_peer(endpoints["database"], connection, name) as peer:
                    lines += measure(api, peer, connection, name, count, given.calls)
    print(_support.table(lines))
    print("written:", _support.save("lake_query", {"lines": lines}).name)


if __name__ == "__main__":
    main()
