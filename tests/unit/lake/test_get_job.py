"""lake.get_job: what has been stored so far, for whoever belongs to the tenant."""

from __future__ import annotations

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake import loading

from tests.support.invoking import Invoker
from tests.support.uploading import PACK, Uploads, killed_at, small_chunks
from tests.unit.lake.conftest import MakeDataset

OPERATION = "lake.get_job"
NOBODY = "0c6f2a94-1b7e-4d35-8f20-6a9d3c5e7b18"


def test_progress_is_visible_while_it_is_loaded(
    no_broker: None,
    bucket: str,
    make_dataset: MakeDataset,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given
    make_dataset("t", id="integer")
    small_chunks(monkeypatch, 10)
    files = Uploads(invoke, bucket)
    job = files.put("t", b"id\n" + b"12345\n" * 100)
    # When its worker dies behind the fourth chunk
    with killed_at(monkeypatch, loading, "_store", 4):
        files.load(job)
    # Then
    told = files.job(job)
    assert (told["state"], told["rows_read"], told["inserted"]) == ("running", 40, 40)
    assert (told["bytes_done"], told["bytes_total"]) == (3 + 40 * 6, 3 + 100 * 6)
    # And it is nothing to other tenants
    assert invoke(OPERATION, path={"job": job}, tenant="umbrella").status == 404


def test_what_code_of_before_calls_compressed_is_gzip(
    no_broker: None, database: str, bucket: str, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given a job as it was written while there was only one encoding
    make_dataset("t", id="integer")
    files = Uploads(invoke, bucket)
    job = files.put("t", PACK["gzip"](b"id\n1\n"), encoding="gzip")
    with transaction(SYSTEM) as tx:
        assert tx.execute("UPDATE lake.jobs SET encoding = NULL WHERE compressed") == 1
    # When / Then
    assert files.load(job) == "done"
    told = files.job(job)
    assert (told["encoding"], told["inserted"]) == ("gzip", 1)


def test_there_is_no_such_job(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"job": NOBODY})
    # Then
    assert (answer.status, answer.fields) == (404, {"job": "not_found"})
