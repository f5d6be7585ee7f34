"""lake.load_upload: a file of any size ends in the table, once, whatever becomes of the workers."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from typing import Any
from uuid import UUID

import psycopg
import pytest
from backports import zstd
from datapunk import functions
from datapunk.lake import loading, uploads
from datapunk.lake.reading_ahead import Reader
from datapunk.settings import settings
from psycopg import sql

from tests.support.invoking import Invoker
from tests.support.rules import OFF, boolean, write
from tests.support.uploading import (
    MOMENTS,
    PACK,
    Moment,
    Uploads,
    given_up,
    killed_at,
    said,
    small_chunks,
)
from tests.unit.lake.conftest import MakeDataset

NDJSON = "application/x-ndjson"


@pytest.fixture
def files(no_broker: None, database: str, bucket: str, invoke: Invoker) -> Uploads:
    """Return what makes jobs, puts their files and loads them."""
    return Uploads(invoke, bucket)


def _rows(database: str, dataset: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        ((table,),) = connection.execute(
            "SELECT table_name FROM lake.datasets WHERE name = %s", (dataset,)
        )
        rows = sql.SQL("SELECT id, label FROM {} ORDER BY id")
        return connection.execute(rows.format(sql.Identifier("lake_data", table))).fetchall()


def _file(rows: int) -> bytes:
    """Rows of which every seventh has a quoted field with line feeds, quotes and another alphabet."""
    text = {0: '"a ""b""\nc,\r\nд"'}
    return ("id,label\n" + "".join(f"{n},{text.get(n % 7, n)}\n" for n in range(rows))).encode()


def _expected(rows: int) -> list[tuple[int, str]]:
    return [(n, 'a "b"\nc,\r\nд' if n % 7 == 0 else str(n)) for n in range(rows)]


@pytest.mark.parametrize("encoding", list(PACK))
def test_a_file_is_loaded_and_removed(
    database: str, files: Uploads, make_dataset: MakeDataset, encoding: str | None
) -> None:
    # Given more rows than one chunk has
    make_dataset("t", id="integer!", label="text")
    content = PACK[encoding](_file(10_500))
    job = files.put("t", content, encoding=encoding)
    # When
    assert files.load(job) == "done"
    # Then
    told = files.job(job)
    assert (told["state"], told["rows_read"], told["inserted"]) == ("done", 10_500, 10_500)
    assert told["bytes_done"] == told["bytes_total"] == len(content)
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert (told["quarantined"], told["batch"], told["problem"]) == (0, None, None)
    assert _rows(database, "t") == _expected(10_500)
    assert files.kept() == []
    # And an event tells of each chunk
    with psycopg.connect(database) as connection:
        events = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    assert [json.loads(body)["data"]["count"] for (body,) in events] == [10_000, 500]


def test_one_in_a_hundred_of_20000_rows_does_not_fit(
    database: str, files: Uploads, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given rows that break rules of the column, of the key and of CSV, anywhere
    make_dataset("t", id="integer!", label="text", key=["id"])
    chance = random.Random(7)  # noqa: S311 -- data
    bad = sorted(chance.sample(range(2, 20_001), 200))
    kinds = ["x,{0}", "{0}", "1,{0}", '{0},"a"b', "{0},\xff"]
    lines = [f"{n},{n}".encode() for n in range(1, 20_001)]
    for index, n in enumerate(bad):
        lines[n - 1] = kinds[index % 5].format(n).encode("latin-1")
    job = files.put("t", b"\xef\xbb\xbfid,label\n" + b"\n".join(lines))
    # When
    assert files.load(job) == "done"
    # Then exactly those are kept aside, by their numbers in the file
    told = files.job(job)
    assert (told["rows_read"], told["inserted"], told["quarantined"]) == (20_000, 19_800, 200)
    rules = {"int_parsing": 40, "width": 40, "unique": 40, "csv": 40, "encoding": 40}
    assert told["reasons"] == rules
    positions: list[int] = []
    cursor = None
    while cursor is not None or not positions:
        query = {"batch": told["batch"], "limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = invoke("lake.list_quarantine", path={"dataset": "t"}, query=query).json
        positions += [row["position"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(positions) == bad
    stored = [id_ for id_, _ in _rows(database, "t")]
    assert stored == [n for n in range(1, 20_001) if n not in set(bad)]


@pytest.mark.parametrize("encoding", list(PACK))
@pytest.mark.parametrize("moment", MOMENTS, ids=said)
def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    database: str,
    files: Uploads,
    make_dataset: MakeDataset,
    monkeypatch: pytest.MonkeyPatch,
    moment: Moment,
    encoding: str | None,
) -> None:
    # Given rows without a key, so that nothing but the job could tell that one came twice
    make_dataset("t", id="integer!", label="text")
    small_chunks(monkeypatch, 100)
    content = _file(1_000) + b"x,x\n"
    job = files.put("t", PACK[encoding](content), encoding=encoding)
    given_up(monkeypatch)
    with killed_at(monkeypatch, *moment):
        files.load(job)
    so_far = files.job(job)["rows_read"]
    assert len(_rows(database, "t")) == min(so_far, 1_000)
    # When
    outcome = files.load(job)
    # Then
    assert outcome == ("not_mine" if so_far == 1_001 else "done")
    told = files.job(job)
    assert (told["state"], told["rows_read"], told["inserted"]) == ("done", 1_001, 1_000)
    assert (told["quarantined"], told["reasons"]) == (1, {"int_parsing": 1})
    assert _rows(database, "t") == _expected(1_000)


def test_who_was_taken_for_dead_stores_nothing_more(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that is slow: while it reads its third chunk, another does all of the work
    make_dataset("t", id="integer!", label="text")
    small_chunks(monkeypatch, 100)
    job = files.put("t", _file(1_000))
    given_up(monkeypatch)
    real, calls, others = Reader.read, 0, []

    def slow(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            others.append(files.load(job))
        return real(*args)

    monkeypatch.setattr(Reader, "read", slow)
    # When
    outcome = files.load(job)
    # Then
    assert (outcome, others) == ("not_mine", ["done"])
    assert _rows(database, "t") == _expected(1_000)


def test_a_worker_without_time_hands_over(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "datapunk-test-lake-load_upload")
    settings.cache_clear()
    started: list[tuple[str, bytes]] = []
    monkeypatch.setattr(functions, "invoke_later", lambda *call: started.append(call))
    job = files.put("t", _file(100))
    # When
    assert files.load(job, seconds=loading.ENOUGH_SECONDS) == "continued"
    # Then the next one is started, and need not wait
    assert started == [("datapunk-test-lake-load_upload", b'{"job":"%s"}' % job.encode())]
    assert files.job(job)["state"] == "running"
    assert files.load(job) == "done"
    assert _rows(database, "t") == _expected(100)


def test_two_uploads_of_one_file_make_one_effect(
    database: str, files: Uploads, make_dataset: MakeDataset
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    content = _file(50)
    first, second = files.put("t", content), files.put("t", content)
    # When
    outcomes = [files.load(first), files.load(second), files.load(second)]
    # Then the second tells what the first has done
    assert outcomes == ["done", "same", "not_mine"]
    told, again = files.job(first), files.job(second)
    assert (again["state"], again["same_as"], again["inserted"]) == ("done", first, 50)
    assert again["sha256"] == told["sha256"]
    assert files.kept() == []
    assert _rows(database, "t") == _expected(50)
    # And another file is another effect
    assert files.load(files.put("t", content + b"50,50\n")) == "done"
    assert len(_rows(database, "t")) == 101


def test_what_is_wrong_with_a_file_is_told_and_stores_nothing(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    monkeypatch.setattr(loading, "MOST_REFUSED", 2)
    wrong: list[tuple[bytes, dict[str, Any], int]] = [
        (b"", {}, 400),
        (b"label,other\n1,2\n", {}, 422),
        (b"id,label\n1,1\n", {"encoding": "gzip"}, 400),
        (gzip.compress(b"id,label\n1,1\n", mtime=0)[:-9], {"encoding": "gzip"}, 400),
        (b"id,label\n1,1\n", {"encoding": "zstd"}, 400),
        (zstd.compress(b"id,label\n1,1\n")[:-3], {"encoding": "zstd"}, 400),
        (b"id,label\n2,2\n", {"sha256": "0" * 64}, 422),
        (b"id,label\nx,\nx,\nx,\n", {}, 422),
        (b"id,label\n" + b"1" * (4 * 1024 * 1024 + 1), {}, 422),
    ]
    for content, wanted, status in wrong:
        # When
        job = files.put("t", content, **wanted)
        assert files.load(job) == "failed", content[:20]
        # Then
        told = files.job(job)
        assert (told["state"], told["problem"]["status"], told["inserted"]) == ("failed", status, 0)
        assert told["problem"]["instance"] == f"/v1/lake/jobs/{job}"
    assert _rows(database, "t") == []


def test_lines_of_json_are_merged_by_the_key(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text", key=["id"])
    small_chunks(monkeypatch, 2)
    lines = [b'{"id": 1}', b"", b'{"id": 2}', b'{"id": 1, "label": "new"}', b'{"id": "\xff"}', b"["]
    # When
    job = files.put("t", b"\n".join(lines), media_type=NDJSON, on_conflict="update")
    assert files.load(job) == "done"
    # Then blank lines do not count
    told = files.job(job)
    assert (told["rows_read"], told["inserted"], told["updated"]) == (5, 2, 1)
    assert told["reasons"] == {"encoding": 1, "json_invalid": 1}
    assert _rows(database, "t") == [(1, "new"), (2, None)]


@pytest.mark.parametrize(
    ("bad", "field"), [(b"x,x\n", "id"), (b"7,again\n", "(row)")], ids=["column", "table"]
)
def test_all_rows_of_a_file_or_none(
    database: str,
    files: Uploads,
    make_dataset: MakeDataset,
    monkeypatch: pytest.MonkeyPatch,
    bad: bytes,
    field: str,
) -> None:
    # Given a file whose last row is refused, behind chunks that fit
    make_dataset("t", key=["id"], id="integer", label="text")
    small_chunks(monkeypatch, 100)
    job = files.put("t", _file(1_000) + bad, on_error="reject")
    # When
    assert files.load(job) == "failed"
    # Then nothing is stored, kept aside or told of, and the row is named
    told = files.job(job)
    assert (told["state"], told["inserted"], told["quarantined"]) == ("failed", 0, 0)
    assert [error["field"] for error in told["problem"]["errors"]] == [f"records.1000.{field}"]
    assert _rows(database, "t") == []
    # When a file that fits comes twice
    for outcome in ("done", "same"):
        again = files.put("t", _file(1_000), on_error="reject")
        assert files.load(again) == outcome
        # Then it is stored once, with one event
        assert files.job(again)["rows_read"] == 1_000
        assert _rows(database, "t") == _expected(1_000)
    with psycopg.connect(database) as connection:
        events = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    counts = [json.loads(body)["data"].get("count") for (body,) in events]
    assert counts == [1_000]


def test_a_worker_that_is_killed_with_all_or_nothing_has_stored_nothing(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer", label="text")
    small_chunks(monkeypatch, 100)
    monkeypatch.setattr(loading, "_TELL_SECONDS", 0)
    job = files.put("t", _file(1_000), on_error="reject", on_conflict="update")
    given_up(monkeypatch)
    with killed_at(monkeypatch, loading, "_sifted", 5):
        files.load(job)
    # Then it has told how far it was
    told = files.job(job)
    assert (told["state"], told["rows_read"]) == ("running", 0)
    assert 0 < told["bytes_done"] < told["bytes_total"]
    assert _rows(database, "t") == []
    # And the next does all of it
    assert files.load(job) == "done"
    assert files.job(job)["inserted"] == 1_000
    assert _rows(database, "t") == _expected(1_000)


def test_who_was_taken_for_dead_with_all_or_nothing_stores_nothing(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker whose job another has taken meanwhile
    make_dataset("t", id="integer!", label="text")
    small_chunks(monkeypatch, 100)
    job = files.put("t", _file(500), on_error="reject")
    real, calls = Reader.read, 0

    def overtaken(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            with psycopg.connect(database) as connection:
                connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
                connection.execute("UPDATE lake.jobs SET holder = gen_random_uuid()")
        return real(*args)

    monkeypatch.setattr(Reader, "read", overtaken)
    # When / Then
    assert files.load(job) == "not_mine"
    assert _rows(database, "t") == []


def test_what_is_too_long_for_one_transaction_fails_and_says_so(
    database: str, files: Uploads, make_dataset: MakeDataset
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    job = files.put("t", _file(100), on_error="reject")
    # When
    assert files.load(job, seconds=loading.ENOUGH_SECONDS) == "failed"
    # Then
    assert files.job(job)["problem"]["errors"][0]["code"] == "too_large"
    assert _rows(database, "t") == []


def test_a_link_that_nobody_used(
    database: str, files: Uploads, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer")
    job = invoke("lake.create_upload", path={"dataset": "t"}).json["job"]
    # When / Then
    assert (files.load(job), files.job(job)["state"]) == ("waiting", "waiting")
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        connection.execute("UPDATE lake.jobs SET expires_at = now() - interval '61 minutes'")
    assert files.load(job) == "failed"
    assert files.job(job)["problem"]["code"] == "not_found"
    # And what comes too late is left alone
    assert files.load(job) == "not_mine"


def test_an_operator_pauses_it(
    database: str, files: Uploads, make_dataset: MakeDataset, tmp_path: Any, monkeypatch: Any
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    job = files.put("t", _file(10))
    write(tmp_path / "flags.json", {"lake.ingest": boolean(OFF)})
    monkeypatch.setenv("FEATURE_FLAGS", f"file:{tmp_path / 'flags.json'}")
    settings.cache_clear()
    # When / Then
    assert (files.load(job), files.job(job)["state"]) == ("paused", "waiting")


def test_many_events_of_one_upload_load_it_once(
    database: str, files: Uploads, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    job = files.put("t", _file(10))
    claimed: list[Any] = []
    threads = [
        threading.Thread(target=lambda: claimed.append(uploads.claim(UUID(job)))) for _ in range(2)
    ]
    # When two environments take the job at once, and a third comes later
    for thread in threads:
        thread.start()
        thread.join()
    # Then one has it
    assert [held is None for held in claimed].count(False) == 1
    assert files.load(job) == "not_mine"
