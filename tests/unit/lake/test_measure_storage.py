"""lake.measure_storage: what each store holds, as the store itself says; one that is away hides no other."""

from __future__ import annotations

import json
from typing import Any

import boto3
import psycopg
import pytest
import redis
from datapunk.lake import storage_usage

from tests.conftest import forget_connections
from tests.support.invoking import Invoker
from tests.support.services import Instance
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.measure_storage"
Measured = dict[tuple[str, str], int]
NOBODY = "127.0.0.1:9"


@pytest.fixture
def objects(bucket: str) -> str:
    """Return a bucket with objects below two prefixes and without one, and one that was replaced."""
    store = boto3.client("s3")
    for key, size in {"uploads/a": 5, "uploads/b/c": 7, "exports/d": 11, "e": 13}.items():
        store.put_object(Bucket=bucket, Key=key, Body=b"x" * 999)
        store.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    return bucket


@pytest.fixture
def stores(database: str, objects: str) -> None:
    """Have all stores there."""


def _measured(lines: str) -> Measured:
    """Return the values that were written, by store and schema."""
    found = [json.loads(line) for line in lines.splitlines()]
    return {
        (line["storage_type"], line["schema"]): line["storage_usage"]
        for line in found
        if "storage_usage" in line
    }


def _tables(database: str, schema: str) -> int:
    statement = """
        SELECT sum(pg_total_relation_size(format('%%I.%%I', schema, name)::regclass))
        FROM (SELECT schemaname, tablename FROM pg_tables
              UNION SELECT schemaname, sequencename FROM pg_sequences) AS found (schema, name)
        WHERE schema = %s"""
    with psycopg.connect(database) as connection:
        found = connection.execute(statement, (schema,)).fetchone()
    assert found is not None
    return int(found[0])


def _memory(instance: Instance) -> int:
    with redis.Redis.from_url(instance.url("redis")) as server:
        return int(server.info("memory")["used_memory"])


def test_values_are_what_the_stores_say(
    database: str,
    objects: str,
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    instance: Instance,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given a table with rows, an index and a long value that is stored out of line
    make_dataset("t", key=["id"], id="integer", s="text")
    rows = [{"id": number, "s": "x" * 50} for number in range(500)]
    insert("t", [*rows, {"id": 500, "s": "".join(map(str, range(20_000)))}])
    schemas = ("lake", "lake_data", "nexus")
    before = {schema: _tables(database, schema) for schema in schemas}
    memory = [_memory(instance)]
    capsys.readouterr()
    # When
    outcome = invoke.sample(OPERATION)
    # Then tables may grow by a page of the vacuum's meanwhile, and Redis by buffers
    found = _measured(capsys.readouterr().out)
    memory.append(_memory(instance))
    for schema in schemas:
        assert before[schema] <= found["postgresql", schema] <= _tables(database, schema)
    assert before["lake_data"] > 100_000
    assert min(memory) * 0.75 <= found["redis", "all"] <= max(memory) * 1.25
    assert {schema: size for (store, schema), size in found.items() if store == "s3"} == {
        "uploads": 12,
        "exports": 11,
        "/": 13,
    }
    totals: dict[str, int] = {}
    for (store, _), size in found.items():
        totals[store] = totals.get(store, 0) + size
    assert outcome == {"bytes": totals, "left": []}


@pytest.mark.parametrize(
    ("name", "address", "store"),
    [
        ("DATABASE_URL", f"postgresql://nobody@{NOBODY}/none", "postgresql"),
        ("REDIS_URL", f"redis://{NOBODY}/0", "redis"),
        ("STORAGE_BUCKET", "another", "s3"),
    ],
)
def test_a_store_that_is_away_hides_no_other(
    stores: None,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    address: str,
    store: str,
) -> None:
    # Given
    monkeypatch.setenv(name, address)
    forget_connections()
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome["left"] == [store]
    measured = {kind for kind, _ in _measured(capsys.readouterr().out)}
    assert measured == {"postgresql", "redis", "s3"} - {store} == set(outcome["bytes"])


@pytest.mark.parametrize(
    ("limits", "left", "sizes"),
    [
        ({"PAGE": 1, "MOST_CALLS": 3}, [], {"uploads": 12, "exports": 11, "/": 13}),
        ({"PAGE": 2, "MOST_CALLS": 2}, [], {"uploads": 12, "exports": 11, "/": 13}),
        ({"PAGE": 2, "MOST_CALLS": 1}, ["s3 /"], {"exports": 11}),
        ({"MOST_PREFIXES": 1}, ["s3 uploads/"], {"exports": 11, "/": 13}),
        ({"MOST_PREFIXES": 0}, ["s3 exports/", "s3 uploads/"], {"/": 13}),
    ],
)
def test_no_value_is_that_of_a_part(
    stores: None,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limits: dict[str, Any],
    left: list[str],
    sizes: dict[str, int],
) -> None:
    # Given
    for name, limit in limits.items():
        monkeypatch.setattr(storage_usage, name, limit)
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    found = _measured(capsys.readouterr().out)
    assert outcome["left"] == left
    assert {schema: size for (store, schema), size in found.items() if store == "s3"} == sizes
