"""Uploads by workers in processes of their own: killed, two at one file, and while the dataset changes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.splitting import CHUNK_ROWS

from tests.conftest import forget_connections
from tests.e2e.clone import eventually
from tests.support.invoking import Invoker
from tests.support.uploading import Uploads, given_up, small_chunks

pytestmark = [
    pytest.mark.usefixtures("no_broker"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
ROWS = 20_000
SECONDS = 60
T = {"dataset": "t"}
Start = Callable[[str], BaseProcess]


@pytest.fixture
def files(database: str, bucket: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch) -> Uploads:
    """Return what makes jobs and puts their files, of which few rows are stored at once.

    Progress may be asked for as often as it takes.
    """
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )
    small_chunks(monkeypatch, 100)
    return Uploads(invoke, bucket)


@pytest.fixture
def start(files: Uploads) -> Iterator[Start]:
    """Return `start(job)`: loads a job in a process of its own, which has a copy of the bucket."""
    workers: list[BaseProcess] = []
    # A child that is forked has what moto keeps in memory; nobody could ask it over a socket.
    context = multiprocessing.get_context("fork")

    def begin(job: str) -> BaseProcess:
        forget_connections()
        worker = context.Process(target=_work, args=(files, job))
        worker.start()
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.kill()
        worker.join(SECONDS)


def _work(files: Uploads, job: str) -> None:
    try:
        files.load(job)
    finally:
        os._exit(0)  # without what the test's process does at its end


def _make(invoke: Invoker) -> None:
    """Make a dataset without a key: nothing but the job could tell that a row came twice."""
    columns = [{"name": "id", "type": "integer"}, {"name": "label", "type": "text"}]
    assert invoke("lake.create_dataset", body={"name": "t", "columns": columns}).status == 201


def _file(rows: int = ROWS) -> bytes:
    return ("id,label\n" + "".join(f"{n},row {n}\n" for n in range(rows))).encode()


def _count(invoke: Invoker) -> dict[str, Any]:
    query = {"select": "count(),least:id.min(),most:id.max(),total:id.sum()"}
    found: dict[str, Any] = invoke("lake.query_records", path=T, query=query).json["items"][0]
    return found | {"total": int(found["total"] or 0)}


EVERY = {"count": ROWS, "least": 0, "most": ROWS - 1, "total": ROWS * (ROWS - 1) // 2}


def _under_way(files: Uploads, job: str) -> int:
    rows: int = files.job(job)["rows_read"]
    return rows


def test_a_worker_is_killed_and_the_next_goes_on(
    invoke: Invoker, files: Uploads, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    _make(invoke)
    given_up(monkeypatch)
    job = files.put("t", _file())
    for least in (0, 4_000, 8_000):
        worker = start(job)
        eventually(lambda least=least: _under_way(files, job) > least, SECONDS, pause=0.03)  # type: ignore[misc]
        # When
        worker.kill()
        worker.join(SECONDS)
        # Then what is told is what is stored
        assert worker.exitcode == -signal.SIGKILL
        assert least < _under_way(files, job) < ROWS
        assert _count(invoke)["count"] == _under_way(files, job)
    # And in the end every row is there, once
    assert files.load(job) == "done"
    assert _count(invoke) == EVERY
    assert files.job(job)["inserted"] == ROWS


@pytest.mark.slow
def test_a_million_rows_outlive_a_worker_and_those_that_are_wrong_are_kept_aside(
    invoke: Invoker, files: Uploads, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file in which every hundredth row is wrong, in chunks as they are
    _make(invoke)
    given_up(monkeypatch)
    small_chunks(monkeypatch, CHUNK_ROWS)
    rows = 1_000_000
    lines = [f"{n},row {n}\n" for n in range(1, rows + 1)]
    wrong = range(100, rows + 1, 100)
    for n in wrong:
        lines[n - 1] = f"{n}x,row {n}\n"
    job = files.put("t", ("id,label\n" + "".join(lines)).encode())
    # When its worker is killed midway
    worker = start(job)
    seen = [0]
    while seen[-1] < rows // 3:
        eventually(lambda: _under_way(files, job) > seen[-1], SECONDS, pause=0.03)
        seen.append(_under_way(files, job))
    worker.kill()
    worker.join(SECONDS)
    assert worker.exitcode == -signal.SIGKILL
    assert seen[-1] < rows
    assert files.load(job) == "done"
    # Then every row is in the table or in quarantine, once, and which are where they belong
    told = files.job(job)
    assert (told["rows_read"], told["inserted"]) == (rows, rows - len(wrong))
    total = rows * (rows + 1) // 2 - sum(wrong)
    assert _count(invoke) == {
        "count": rows - len(wrong),
        "least": 1,
        "most": rows - 1,
        "total": total,
    }
    with transaction(SYSTEM) as tx:
        kept = tx.value("SELECT array_agg(position ORDER BY position) FROM lake.quarantine")
    assert kept == list(wrong)


def test_two_workers_at_one_job(invoke: Invoker, files: Uploads, start: Start) -> None:
    # Given / When
    _make(invoke)
    job = files.put("t", _file())
    workers = [start(job) for _ in range(2)]
    for worker in workers:
        worker.join(SECONDS)
    # Then
    assert _count(invoke) == EVERY
    assert files.job(job)["inserted"] == ROWS


def test_two_uploads_of_one_file_at_once_make_one_effect(
    invoke: Invoker, files: Uploads, start: Start
) -> None:
    # Given / When
    _make(invoke)
    jobs = [files.put("t", _file()) for _ in range(2)]
    for worker in [start(job) for job in jobs]:
        worker.join(SECONDS)
    # Then what gave way is gone on with as the sweep would
    for job in jobs:
        files.load(job)
    told = [files.job(job) for job in jobs]
    assert [item["state"] for item in told] == ["done", "done"]
    assert sorted(item["same_as"] is None for item in told) == [False, True]
    assert [item["inserted"] for item in told] == [ROWS, ROWS]
    assert _count(invoke) == EVERY


def test_no_row_is_lost_while_the_definition_changes(
    invoke: Invoker, files: Uploads, start: Start
) -> None:
    # Given a file under way
    _make(invoke)
    job = files.put("t", _file())
    worker = start(job)
    seen = [0]
    changes: list[dict[str, Any]] = [
        {"op": "add_column", "column": {"name": "more", "type": "integer", "default": 1}},
        {"op": "rename_column", "column": "label", "name": "text"},
        {"op": "widen_column", "column": "id", "type": "decimal"},
        {"op": "deprecate_column", "column": "more", "reason": "not needed"},
        {"op": "drop_column", "column": "more"},
    ]
    # When
    for change in changes:
        eventually(lambda: _under_way(files, job) > seen[-1], SECONDS, pause=0.03)
        answer = eventually(lambda change=change: _changed(invoke, change), SECONDS)  # type: ignore[misc]
        assert answer == 200
        seen.append(_under_way(files, job))
    worker.join(SECONDS)
    # Then all of them were made before the end of the file, and every row is there
    assert seen[-1] < ROWS
    assert files.job(job)["state"] == "done", files.job(job)["problem"]
    assert files.job(job)["quarantined"] == 0
    assert _count(invoke) == EVERY


def _changed(invoke: Invoker, change: dict[str, Any]) -> int | None:
    """Change the dataset, and return the answer's status unless it is to be tried again."""
    status = invoke("lake.change_dataset", path=T, body={"changes": [change]}).status
    return None if status == 503 else status
