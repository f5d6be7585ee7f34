"""Rows written and read with encrypted columns, beside the same rows in clear.

    python benchmarks/lake_privacy.py [--rows 20000] [--rounds 5]

Both go through what the functions call, in turns, on a platform of the benchmark's own: a body of JSON is
validated and copied, and pages are read. Two columns are encrypted, one of them searchable (in clear it has
an index), by keys of as many persons as a tenth of the rows. The table shows medians of rows a second and
encrypted as a share of clear.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake.datasets import create_dataset, find_dataset
from datapunk.lake.definition import DatasetDefinition
from datapunk.lake.filters import read_query
from datapunk.lake.ingest import insert_records
from datapunk.lake.parsing import JSON, parse_body
from datapunk.lake.query import query_records

from benchmarks import _support
from benchmarks.lake_query import running_platform

CALLER = Caller("user:benchmark", "public", roles=("editor",))
PAGE = 1_000
ENCRYPTED = {"protection": "encrypted"}


def make(name: str, *, encrypted: bool) -> None:
    """Create a dataset, with two encrypted columns or without."""
    columns: list[dict[str, Any]] = [
        {"name": "id", "type": "integer"},
        {"name": "person", "type": "text"},
        {"name": "email", "type": "text"},
        {"name": "note", "type": "text"},
        {"name": "value", "type": "number"},
    ]
    if encrypted:
        columns[2] |= {**ENCRYPTED, "searchable": True}
        columns[3] |= ENCRYPTED
    definition = {"name": name, "columns": columns, "key": ["id"], "subject": "person"}
    if not encrypted:
        definition["indexes"] = [["email"]]
    with transaction(CALLER) as tx:
        create_dataset(tx, DatasetDefinition.model_validate(definition))


def body_of(start: int, count: int) -> bytes:
    """Return rows as a JSON array."""
    return json.dumps(
        [
            {
                "id": number,
                "person": f"person-{number % (count // 10 or 1)}",
                "email": f"somebody.{number}@mail.example.com",
                "note": f"what was said at visit {number}",
                "value": number / 8,
            }
            for number in range(start, start + count)
        ]
    ).encode()


def write(name: str, body: bytes) -> None:
    """Validate and copy a body."""
    with transaction(CALLER) as tx:
        dataset = find_dataset(tx, name, hold=True)
        parsed = parse_body(JSON, "utf-8", body, dataset.columns)
        insert_records(tx, dataset, parsed, most=len(body))


def read(name: str, offset: int) -> None:
    """Read a page of rows."""
    with transaction(CALLER) as tx:
        dataset = find_dataset(tx, name)
        query = read_query({"id": [f"gte.{offset}"], "limit": [str(PAGE)]}, dataset, PAGE)
        query_records(tx, dataset, query, JSON)


def find(name: str, number: int) -> None:
    """Find a row by a value."""
    with transaction(CALLER) as tx:
        dataset = find_dataset(tx, name)
        email = [f"eq.somebody.{number}@mail.example.com"]
        query_records(tx, dataset, read_query({"email": email}, dataset, PAGE), JSON)


def rate(work: Callable[[], None], rows: int) -> float:
    """Return rows a second."""
    started = time.perf_counter()
    work()
    return rows / (time.perf_counter() - started)


def measure(rows: int, rounds: int) -> list[dict[str, Any]]:
    """Return the lines of the table."""
    for name in ("clear", "encrypted"):
        make(name, encrypted=name == "encrypted")
    seen: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds):
        body = body_of(turn * rows, rows)
        for name in ("clear", "encrypted"):
            works: dict[str, tuple[Callable[[], None], int]] = {
                f"write {rows:,} rows": (lambda n=name, b=body: write(n, b), rows),  # type: ignore[misc]
                f"read {PAGE:,} rows": (lambda n=name, t=turn: read(n, t * rows), PAGE),  # type: ignore[misc]
                "find 1 row by value": (lambda n=name, t=turn: find(n, t * rows), 1),  # type: ignore[misc]
            }
            for title, (work, count) in works.items():
                seen.setdefault((title, name), []).append(rate(work, count))
    lines = []
    for title in dict.fromkeys(title for title, _ in seen):
        clear, encrypted = (statistics.median(seen[title, n]) for n in ("clear", "encrypted"))
        lines.append(
            {
                "what": title,
                "clear rows/s": round(clear),
                "encrypted rows/s": round(encrypted),
                "ratio": round(encrypted / clear, 2),
            }
        )
    return lines


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(_support.machine())
    with tempfile.TemporaryDirectory() as folder, running_platform() as (endpoints, _):
        os.environ["DATABASE_URL"] = endpoints["database"]
        os.environ["KEY_RING"] = f"file:{folder}/keyring"
        lines = measure(given.rows, given.rounds)
    print(_support.table(lines))
    print("written:", _support.save("lake_privacy", {"lines": lines}).name)


if __name__ == "__main__":
    main()
