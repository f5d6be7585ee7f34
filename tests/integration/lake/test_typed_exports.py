"""Exports as Parquet and Arrow: what went in comes out with its types, and nothing that is protected."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
from collections.abc import Callable
from decimal import Decimal
from secrets import token_hex
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from datapunk import limits
from datapunk.aws import STORE, client_of
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake import exporting
from datapunk.lake.binary.writing import GROUP_BYTES, TableFormat, Typed, writing
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.parsing import PARQUET
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, PLANTED, row
from tests.support.rows import (
    DIMENSION,
    FILE_WRITERS,
    KINDS,
    arrow_table,
    column_of,
    columns_and_rows,
)

EXPORT = "lake.export_records"
FORMATS = ["parquet", "arrow"]
MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
}
pytestmark = pytest.mark.usefixtures("database", "bucket", "no_broker")
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _many_requests(database: str) -> None:
    """Let the examples of a test send as many requests as they need."""
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )
    limits.forget()


def _create(invoke: Invoker, columns: list[Column]) -> str:
    name = f"e{next(_numbers)}"
    listed = [column.model_dump(mode="json") for column in columns]
    answer = invoke("lake.create_dataset", body={"name": name, "columns": listed, "key": []})
    assert answer.status == 201, answer.body
    return name


def _send(
    invoke: Invoker, name: str, body: Any, media_type: str = "application/json"
) -> dict[str, Any]:
    path = {"dataset": name}
    answer = invoke("lake.insert_records", path=path, body=body, content_type=media_type)
    assert answer.status == 201, answer.body
    receipt: dict[str, Any] = answer.json
    return receipt


def _insert(invoke: Invoker, name: str, columns: list[Column], rows: list[dict[str, Any]]) -> None:
    _send(invoke, name, FILE_WRITERS[PARQUET](columns, rows), PARQUET)


def _export(invoke: Invoker, name: str, form: str, **query: Any) -> Answer:
    return invoke(EXPORT, path={"dataset": name}, body={"format": form, **query})


def _file(answer: Answer) -> bytes:
    assert answer.status == 201, answer.body
    read = requests.get(answer.json["url"], timeout=10)
    assert (read.status_code, len(read.content)) == (200, answer.json["bytes"])
    assert read.headers["Content-Type"] == MEDIA_TYPES[answer.json["format"]]
    name = f"{answer.json['dataset']}.{answer.json['format']}"
    assert read.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    return read.content


def _table(answer: Answer) -> pa.Table:
    """Return the file as a stock reader has it."""
    content = _file(answer)
    if answer.json["format"] == "parquet":
        return pq.read_table(io.BytesIO(content))
    with pa.ipc.open_file(io.BytesIO(content)) as reader:
        return reader.read_all()


@settings(max_examples=25)
@given(drawn=columns_and_rows(), form=st.sampled_from(FORMATS))
def test_what_went_in_as_parquet_comes_out_of_any_table(
    invoke: Invoker, drawn: tuple[list[Column], list[dict[str, Any]]], form: str
) -> None:
    # Given
    columns, rows = drawn
    columns = [Column(name="row", type=ColumnType.INTEGER), *columns]
    rows = [{"row": number, **row} for number, row in enumerate(rows)]
    name = _create(invoke, columns)
    _insert(invoke, name, columns, rows)
    # When
    table = _table(_export(invoke, name, form, order="row"))
    # Then types are those that the rows were written with, but for decimals, which have no bound
    expected = arrow_table(columns, rows)
    for column in columns:
        found, sent = table.column(column.name), expected.column(column.name)
        if column.type is ColumnType.DECIMAL:
            assert found.type == pa.string()
            texts = [None if item is None else Decimal(item) for item in found.to_pylist()]
            assert texts == sent.to_pylist()
        elif column.type is ColumnType.JSON:
            assert [_json(item) for item in found.to_pylist()] == [
                _json(item) for item in sent.to_pylist()
            ]
        else:
            assert (found.type, found.to_pylist()) == (sent.type, sent.to_pylist())


def _json(text: str | None) -> Any:
    """Return a JSON text as Python's value: PostgreSQL orders members, and keeps 1e2 as 100."""
    return None if text is None else json.loads(text, parse_int=float)


@pytest.mark.parametrize("form", FORMATS)
def test_an_exported_table_can_be_loaded_again(invoke: Invoker, form: str) -> None:
    # Given a value of every type
    columns = [column_of(f"c_{kind}", kind) for kind in KINDS]
    name, copy = _create(invoke, columns), _create(invoke, columns)
    sample = {
        "c_text": "ä",
        "c_decimal": "12345678901234567890123456789012345678901234567890.5",
        "c_timestamp": "2026-11-28T12:00:00.5Z",
        "c_date": "2026-11-28",
        "c_uuid": "67410919-599e-4f2d-9f66-ccb0f0597407",
        "c_json": {"a": [1, "2", None]},
        "c_vector": [1.5, 2.5, -3.0],
        "c_boolean": True,
        "c_integer": -(2**63),
        "c_number": 0.1,
        "c_integer_range": "[1,5)",
        "c_timestamp_range": '["2026-01-01 00:00:00+00",)',
    }
    _send(invoke, name, [sample, {}])
    # When
    table = _table(_export(invoke, name, form))
    written = io.BytesIO()
    pq.write_table(table, written)
    again = _send(invoke, copy, written.getvalue(), PARQUET)
    # Then
    assert again["inserted"] == 2
    first, second = (
        invoke("lake.query_records", path={"dataset": dataset}, query={}).json["items"]
        for dataset in (name, copy)
    )
    assert sorted(map(json.dumps, first)) == sorted(map(json.dumps, second))


@pytest.mark.parametrize("form", FORMATS)
def test_results_have_the_types_of_what_is_asked(invoke: Invoker, form: str) -> None:
    # Given
    columns = [column_of(name, ColumnType(name)) for name in ("integer", "date", "vector", "json")]
    name = _create(invoke, columns)
    rows = [
        {"integer": n, "date": dt.date(2026, 1, n), "vector": [1.0, 2.0, n], "json": {"a": n}}
        for n in (1, 2)
    ]
    _insert(invoke, name, columns, rows)
    # When
    select = "n:count(),sum:integer.sum(),mean:integer.avg(),last:date.max()"
    grouped = _table(_export(invoke, name, form, select=select))
    empty = _table(_export(invoke, name, form, filters={"integer": "gt.9"}))
    # Then
    assert grouped.to_pylist() == [
        {"n": 2, "sum": "3", "mean": "1.5000000000000000", "last": dt.date(2026, 1, 2)}
    ]
    # And a table of no rows has its columns
    assert (empty.num_rows, empty.schema.field("vector").type) == (
        0,
        pa.list_(pa.float32(), DIMENSION),
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("roles", ["admin", "editor"])
def test_planted_personal_data_is_not_in_the_file(invoke: Invoker, form: str, roles: str) -> None:
    # Given
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    _send(invoke, "patients", [row(1, ANN), row(2, BOB), row(3, ANN)])
    # When
    path = {"dataset": "patients"}
    asked = invoke(EXPORT, path=path, body={"format": form}, tenant="public", roles=roles)
    # Then numbers and days that are encrypted are texts, which hold cells
    content, table = _file(asked), _table(asked)
    for name in ("email", "iban", "born", "weight"):
        assert table.schema.field(name).type == pa.string()
    cells = [cell for name in ("iban", "born", "weight") for cell in table.column(name).to_pylist()]
    known = [content, *(bytes.fromhex(cell) for cell in cells if cell)]
    told = b"\n".join([*known, json.dumps(table.to_pylist(), default=str).encode()])
    planted = [value for value in [*PLANTED, "1815-12-10", "61.5"] if value.encode() in told]
    assert planted == []


@pytest.mark.parametrize("form", FORMATS)
def test_masks_hold_and_change_no_type(invoke: Invoker, form: str) -> None:
    # Given a number and a text that others than editors are not shown
    mask = {"roles": {"editor": "clear"}, "others": "full"}
    partial = {"roles": {"editor": "clear"}, "others": "partial"}
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "pay", "type": "integer", "masking": mask},
        {"name": "card", "type": "text", "masking": partial},
    ]
    definition = {"name": "staff", "key": ["id"], "columns": columns}
    assert invoke("lake.create_dataset", body=definition).status == 201
    sent = {"id": 1, "pay": 5, "card": "4111 1111 1111 1111"}
    _send(invoke, "staff", [sent])
    # When
    tables = {
        roles: _table(
            invoke(
                EXPORT,
                path={"dataset": "staff"},
                body={"format": form},
                tenant="public",
                roles=roles,
            )
        )
        for roles in ("editor", "viewer")
    }
    # Then
    assert tables["editor"].schema == tables["viewer"].schema
    assert tables["editor"].to_pylist() == [sent]
    assert tables["viewer"].to_pylist() == [{"id": 1, "pay": None, "card": "**** **** **** 1111"}]


@pytest.fixture
def many(invoke: Invoker, database: str) -> str:
    """Make a dataset of 30 MB in texts that do not pack well, and return its name."""
    columns = [column_of("id", ColumnType.INTEGER), column_of("text", ColumnType.TEXT)]
    name = _create(invoke, columns)
    for start in range(0, 3_000, 500):
        rows = [{"id": n, "text": f"{n:08x}" * 1_250} for n in range(start, start + 500)]
        _insert(invoke, name, columns, rows)
    return name


def test_a_large_table_is_written_group_by_group(invoke: Invoker, many: str) -> None:
    # When
    parquet = _export(invoke, many, "parquet", order="id")
    arrow = _export(invoke, many, "arrow", order="id")
    # Then
    file = pq.ParquetFile(io.BytesIO(_file(parquet)))
    assert file.num_row_groups > 2
    assert parquet.json["rows"] == arrow.json["rows"] == 3_000
    ids = list(range(3_000))
    assert file.read(["id"]).column("id").to_pylist() == ids
    table = _table(arrow)
    assert table.column("id").to_pylist() == ids
    assert table.nbytes > 3 * exporting._CHUNK


@pytest.mark.parametrize("form", list(TableFormat))
def test_what_is_held_of_a_table_is_some_groups(form: TableFormat) -> None:
    # Given 100 MB of texts that do not pack well
    columns = [Typed("id", ColumnType.INTEGER), Typed("text", ColumnType.TEXT)]
    sizes: list[int] = []
    before, most = pa.total_allocated_bytes(), 0
    # When
    with writing(form, lambda content: sizes.append(len(content)), columns) as add:
        for start in range(0, 10_000, 100):
            add([(str(n), token_hex(5_000)) for n in range(start, start + 100)])
            most = max(most, pa.total_allocated_bytes() - before)
    # Then
    assert sum(sizes) > 5 * GROUP_BYTES
    assert most < 3 * GROUP_BYTES


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_left_of_a_table_that_was_not_finished(
    invoke: Invoker, many: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a table whose rows end in an error, in the middle
    real: Callable[..., int] = exporting._write

    def failing(cursor: Any, add: Any) -> int:
        calls = itertools.count()

        def once_more(rows: Any) -> int:
            if next(calls) == 12:
                raise OSError("gone")
            return int(add(rows))

        return real(cursor, once_more)

    monkeypatch.setattr(exporting, "_write", failing)
    # When
    answer = _export(invoke, many, form)
    # Then
    assert answer.status == 500
    store = client_of(STORE)
    assert store.list_objects_v2(Bucket="datapunk", Prefix="exports/").get("Contents", []) == []
    assert store.list_multipart_uploads(Bucket="datapunk").get("Uploads", []) == []
    assert boto3.client("s3").list_object_versions(Bucket="datapunk").get("Versions", []) == []
