"""Avro and Parquet through the doors: bodies of requests, uploads whose workers die, rows kept aside."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.parsing import AVRO, AVRO_SHORT, PARQUET
from psycopg import sql

from tests.support.invoking import Answer, Invoker
from tests.support.rows import FILE_WRITERS, as_avro, as_parquet
from tests.support.uploading import (
    MOMENTS,
    Moment,
    Uploads,
    given_up,
    killed_at,
    said,
    small_chunks,
)

INSERT = "lake.insert_records"
COLUMNS = [
    Column(name="id", type=ColumnType.INTEGER, nullable=False),
    Column(name="price", type=ColumnType.DECIMAL),
    Column(name="about", type=ColumnType.JSON),
]
TEXT_PRICES = [COLUMNS[0], Column(name="price", type=ColumnType.TEXT), COLUMNS[2]]
"""As a file may have them: prices are texts, of which some are no numbers."""
OPTIONS: dict[str, dict[str, Any]] = {
    AVRO: {"sync_interval": 3_000},
    PARQUET: {"row_group_size": 170},
}
pytestmark = pytest.mark.usefixtures("database", "no_broker")


@pytest.fixture
def files(database: str, bucket: str, invoke: Invoker) -> Uploads:
    """Return what makes jobs, puts their files and loads them."""
    return Uploads(invoke, bucket)


@pytest.fixture(autouse=True)
def _dataset(database: str, invoke: Invoker) -> None:
    """Make the dataset `t` that the files are for."""
    columns = [column.model_dump(mode="json") for column in COLUMNS]
    answer = invoke("lake.create_dataset", body={"name": "t", "columns": columns, "key": []})
    assert answer.status == 201, answer.body


def _insert(invoke: Invoker, body: bytes, media_type: str, **others: Any) -> Answer:
    return invoke(INSERT, path={"dataset": "t"}, body=body, content_type=media_type, **others)


def _stored(database: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        ((table,),) = connection.execute("SELECT table_name FROM lake.datasets WHERE name = 't'")
        rows = sql.SQL("SELECT id, price, about FROM {} ORDER BY id")
        return connection.execute(rows.format(sql.Identifier("lake_data", table))).fetchall()


def _rows(count: int, *, texts: bool = False) -> list[dict[str, Any]]:
    prices = [Decimal(n) / 100 for n in range(count)]
    return [
        {"id": n, "price": str(price) if texts else price, "about": {"n": n}}
        for n, price in enumerate(prices)
    ]


@pytest.mark.parametrize("media_type", [AVRO, AVRO_SHORT, PARQUET])
def test_a_body_is_inserted_once_for_a_key(database: str, invoke: Invoker, media_type: str) -> None:
    # Given
    write = as_parquet if media_type == PARQUET else as_avro
    body = write(COLUMNS, _rows(50))
    headers = {"Idempotency-Key": "k1"}
    # When
    answers = [_insert(invoke, body, media_type, headers=headers) for _ in range(2)]
    # Then
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert answers[0].json["inserted"] == 50
    assert _stored(database) == [(n, Decimal(n) / 100, {"n": n}) for n in range(50)]
    # And another body with the key is another request
    other = _insert(invoke, write(COLUMNS, _rows(51)), media_type, headers=headers)
    assert other.status == 409


@pytest.mark.parametrize("media_type", [AVRO, PARQUET])
def test_rows_of_a_body_that_do_not_fit_go_into_quarantine_whole(
    database: str, invoke: Invoker, media_type: str
) -> None:
    # Given
    rows = _rows(12, texts=True)
    rows[3]["price"] = rows[10]["price"] = "much"
    body = FILE_WRITERS[media_type](TEXT_PRICES, rows)
    # When
    refused = _insert(invoke, body, media_type)
    receipt = _insert(invoke, body, media_type, query={"on_error": "quarantine"})
    # Then all or nothing names them, in the body's order
    assert (refused.status, refused.json["code"]) == (422, "invalid_input")
    assert [item["field"] for item in refused.json["errors"]] == [
        "records.3.price",
        "records.10.price",
    ]
    # And the others are stored, while these are kept as they came
    assert (receipt.json["inserted"], receipt.json["quarantined"]) == (10, 2)
    listed = invoke("lake.list_quarantine", path={"dataset": "t"}, query={}).json["items"]
    assert [(row["position"], row["media_type"]) for row in listed] == [
        (4, media_type),
        (11, media_type),
    ]
    assert listed[0]["content"] == {"id": 3, "price": "much", "about": {"n": 3}}
    # And are released when they have been corrected
    path = {"dataset": "t", "row": listed[0]["id"]}
    corrected = {"id": 3, "price": "0.03", "about": {"n": 3}}
    assert invoke("lake.correct_quarantined", path=path, body=corrected).status == 200
    assert invoke("lake.release_quarantined", path=path, body=None).status == 200
    assert (3, Decimal("0.03"), {"n": 3}) in _stored(database)


@pytest.mark.parametrize("media_type", [AVRO, PARQUET])
def test_what_is_no_such_file_is_a_bad_request(
    database: str, invoke: Invoker, media_type: str
) -> None:
    # Given
    whole = FILE_WRITERS[media_type](COLUMNS, _rows(50))
    for body in (b"id,price\n1,2\n", whole[:-30], whole[: len(whole) // 2]):
        # When
        answer = _insert(invoke, body, media_type)
        # Then
        assert (answer.status, answer.json["code"]) == (400, "malformed_request"), answer.body
    assert _stored(database) == []


@pytest.mark.parametrize("media_type", [AVRO, PARQUET])
@pytest.mark.parametrize("moment", MOMENTS, ids=said)
def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    database: str,
    files: Uploads,
    monkeypatch: pytest.MonkeyPatch,
    moment: Moment,
    media_type: str,
) -> None:
    # Given chunks that end within blocks and row groups, and a row that does not fit
    small_chunks(monkeypatch, 100)
    rows = _rows(1_000, texts=True)
    rows[777]["price"] = "much"
    content = FILE_WRITERS[media_type](TEXT_PRICES, rows, **OPTIONS[media_type])
    job = files.put("t", content, media_type=media_type)
    given_up(monkeypatch)
    with killed_at(monkeypatch, *moment):
        files.load(job)
    so_far = files.job(job)
    assert len(_stored(database)) == so_far["inserted"]
    assert so_far["bytes_done"] <= len(content)
    # When
    outcome = files.load(job)
    # Then
    assert outcome == ("not_mine" if so_far["state"] == "done" else "done")
    told = files.job(job)
    assert (told["state"], told["rows_read"], told["inserted"]) == ("done", 1_000, 999)
    assert (told["bytes_done"], told["sha256"]) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
    )
    assert [id_ for id_, _, _ in _stored(database)] == [n for n in range(1_000) if n != 777]
    query = {"batch": told["batch"]}
    listed = invoke_list(files, query)
    assert [(row["position"], row["content"]["id"]) for row in listed] == [(778, 777)]


def invoke_list(files: Uploads, query: dict[str, str]) -> list[dict[str, Any]]:
    """Return the dataset's rows in quarantine."""
    found: list[dict[str, Any]] = files.invoke(
        "lake.list_quarantine", path={"dataset": "t"}, query=query
    ).json["items"]
    return found


@pytest.mark.parametrize("media_type", [AVRO, PARQUET])
def test_an_upload_that_is_damaged_fails_and_says_why(
    database: str, files: Uploads, media_type: str
) -> None:
    # Given files that are none, that end too early, and that are for another dataset
    whole = FILE_WRITERS[media_type](COLUMNS, _rows(300))
    other = FILE_WRITERS[media_type]([Column(name="x", type=ColumnType.TEXT)], [{"x": "y"}])
    for content, status in ((b"", 400), (b"id\n1\n", 400), (whole[:-40], 400), (other, 422)):
        # When
        job = files.put("t", content, media_type=media_type)
        # Then
        assert files.load(job) == "failed"
        assert files.job(job)["problem"]["status"] == status
    assert _stored(database) == []


@pytest.mark.parametrize("media_type", [AVRO, PARQUET])
def test_such_files_are_uploaded_as_they_are(invoke: Invoker, media_type: str) -> None:
    # Given / When
    body = {"media_type": media_type, "encoding": "gzip"}
    answer = invoke("lake.create_upload", path={"dataset": "t"}, body=body)
    # Then
    assert answer.status == 422
    assert [item["field"] for item in answer.json["errors"]] == ["encoding"]
