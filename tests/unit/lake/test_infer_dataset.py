"""lake.infer_dataset: a definition that would take the sample, shown and not used."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.inference import infer_dataset
from datapunk.lake.parsing import PARQUET, parse_body
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.invoking import Invoker
from tests.support.rows import FILE_WRITERS, JSON_VALUES, WRITERS, columns_and_rows

OPERATION = "lake.infer_dataset"


def _types(answer: Any) -> dict[str, str]:
    return {column["name"]: column["type"] for column in answer.json["definition"]["columns"]}


def test_the_sample_is_described_and_nothing_is_made(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 200, answer.body
    assert _types(answer) == {"week": "date", "ppm": "number", "station": "text"}
    assert answer.json["definition"]["name"] == "co2_weekly"
    week, ppm, _ = answer.json["columns"]
    assert (week["distinct"], week["nulls"], ppm["nulls"]) == (True, 0, 1)
    assert answer.json["rows"] == 3
    assert invoke("lake.get_dataset").status == 404


def test_what_is_proposed_can_be_created_and_takes_the_sample(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    proposed = invoke(OPERATION).json["definition"]
    # When
    created = invoke("lake.create_dataset", body=proposed)
    sample = "week,ppm,station\n1958-03-29,316.19,mlo\n1958-04-12,,mlo\n"
    inserted = invoke("lake.insert_records", body=sample, content_type="text/csv")
    # Then
    assert (created.status, inserted.status) == (201, 201)


@pytest.mark.parametrize("media_type", sorted(FILE_WRITERS))
def test_a_file_that_says_its_types_is_believed(
    database: str, invoke: Invoker, media_type: str
) -> None:
    # Given texts that look like numbers and days, and a column that is full though it need not be
    columns = [
        Column(name="code", type=ColumnType.TEXT, nullable=False),
        Column(name="day", type=ColumnType.DATE, nullable=False),
        Column(name="price", type=ColumnType.DECIMAL),
        Column(name="at", type=ColumnType.TIMESTAMP),
        Column(name="id", type=ColumnType.UUID, nullable=False),
        Column(name="none", type=ColumnType.INTEGER),
    ]
    row = {
        "code": "2026-11-28",
        "day": date(2026, 11, 28),
        "price": Decimal("0.100000"),
        "at": datetime(2026, 11, 28, 12, tzinfo=UTC),
        "id": UUID(int=7),
        "none": None,
    }
    body = FILE_WRITERS[media_type](columns, [row, {**row, "code": "007"}])
    # When
    answer = invoke(OPERATION, body=body, content_type=media_type)
    # Then nothing was seen of the last column, which is a text then
    assert answer.status == 200, answer.body
    expected = {column.name: column.type.value for column in columns}
    assert _types(answer) == {**expected, "none": "text"}
    seen = {column["name"]: column for column in answer.json["columns"]}
    assert (seen["price"]["nulls"], seen["price"]["nullable"]) == (0, True)
    assert seen["price"]["examples"][0] == "0.100000"
    if media_type.endswith("avro"):
        assert seen["code"]["nullable"] is False


def test_what_no_column_has_a_type_for_is_kept_as_json() -> None:
    # Given
    table = pa.table(
        {
            "bytes": [b"\xff\x00", None],
            "times": pa.array([time(12, 30), time(0)]),
            "lists": [[1, 2], []],
            "large": pa.array([2**64 - 1, 0], pa.uint64()),
        }
    )
    written = io.BytesIO()
    pq.write_table(table, written)
    # When
    found = infer_dataset("t", PARQUET, "utf-8", written.getvalue())
    # Then
    kinds = {item.name: item.type.value for item in found.columns}
    assert kinds == {"bytes": "json", "times": "json", "lists": "json", "large": "decimal"}
    assert found.columns[0].examples == ["_wA="]
    assert _takes(PARQUET, written.getvalue(), found.definition.columns) == 2


@pytest.mark.parametrize(
    "sample",
    [
        "week;ppm\n1958-03-29;316,19\n1958-04-12;\n",
        "week\tppm\n1958-03-29\t316,19\n",
        "'week'|'ppm'\n'1958-03-29'|'a|b'\n",
    ],
    ids=["semicolon", "tab", "bar"],
)
def test_how_the_sample_is_written_is_found(sample: str) -> None:
    # Given / When
    found = infer_dataset("t", "text/csv", "utf-8", sample.encode())
    # Then
    assert [(item.name, item.type) for item in found.columns] == [("week", "date"), ("ppm", "text")]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", "0"], "integer"),
        (["007", "12"], "text"),
        (["1.5", "2"], "number"),
        (["1e3", "2"], "number"),
        (["0.12345678901234567890", "2"], "decimal"),
        (["9223372036854775808", "1"], "decimal"),
        (["true", "FALSE"], "boolean"),
        (["2026-11-28", "2026-01-01"], "date"),
        (["2026-02-30", "2026-01-01"], "text"),
        (["2026-11-28T10:00:00Z", "2026-01-01 00:00"], "timestamp"),
        (["3f6c1a52-8d0e-4b7a-9c11-5e2d7f40a6b8"], "uuid"),
        (['{"a": 1}', "[]"], "json"),
        (["a", "1"], "text"),
        (["", ""], "text"),
        (["NaN", "1"], "text"),
    ],
)
def test_the_narrowest_type_of_texts(texts: list[str], kind: str) -> None:
    # Given
    quoted = "\n".join('"' + text.replace('"', '""') + '"' for text in texts)
    # When
    found = infer_dataset("d", "text/csv", "utf-8", f"v\n{quoted}\n".encode())
    # Then
    assert found.definition.columns[0].type == kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None], "integer"),
        ([2**63], "decimal"),
        ([1, 1.5], "number"),
        ([2**53 + 1, 0.5], "decimal"),
        ([True], "boolean"),
        ([True, 1], "json"),
        (["2026-11-28"], "date"),
        (["2026-11-28", "x"], "text"),
        ([{"a": 1}, [1]], "json"),
        (["a", 1], "json"),
        ([None], "text"),
    ],
)
def test_the_type_of_json_values(values: list[Any], kind: str) -> None:
    # Given
    body = json.dumps([{"v": value} for value in values]).encode()
    # When
    found = infer_dataset("d", "application/json", "utf-8", body)
    # Then
    assert found.definition.columns[0].type == kind


def test_names_become_names_of_columns() -> None:
    # Given
    header = "Mean Temp (C),mean_temp_c,2nd,order,Größe,,x\u0000"
    # When
    found = infer_dataset("d", "text/csv", "utf-8", f"{header}\n1,2,3,4,5,6,7\n".encode())
    # Then
    assert [column.name for column in found.columns] == [
        *("mean_temp_c_2", "mean_temp_c", "c_2nd", "order_2", "gr_e", "c", "x"),
    ]
    assert found.columns[0].source == "Mean Temp (C)"


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("application/json", "{}", 422),
        ("application/json", "[1]", 422),
        ("application/json", "[]", 422),
        ("application/json", "[", 400),
        ("application/json", '[{"a": NaN}]', 400),
        ("text/csv", 'a\n"', 400),
        ("text/csv", "a,b\n1\n", 422),
        ("text/plain", "a", 415),
    ],
)
def test_what_is_no_sample_is_refused(
    database: str, invoke: Invoker, media_type: str, body: str, status: int
) -> None:
    # Given / When
    answer = invoke(OPERATION, body=body, content_type=media_type)
    # Then
    assert answer.status == status, answer.body


def _takes(media_type: str, body: bytes, columns: list[Column]) -> int:
    return sum(chunk.count for chunk in parse_body(media_type, "utf-8", body, columns).chunks)


@given(drawn=columns_and_rows(), media_type=st.sampled_from(sorted(WRITERS | FILE_WRITERS)))
def test_any_sample_is_taken_by_what_is_inferred_from_it(
    drawn: tuple[list[Column], list[dict[str, Any]]], media_type: str
) -> None:
    # Given rows of any types in any format
    columns, rows = drawn
    assume(rows)
    body = (WRITERS | FILE_WRITERS)[media_type](columns, rows)
    # A CSV file of one column cannot tell an empty row from none.
    assume(media_type != "text/csv" or len(columns) > 1)
    # When
    found = infer_dataset("d", media_type, "utf-8", body)
    # Then ingest would take every row under the proposed definition
    assert found.rows == len(rows)
    assert _takes(media_type, body, found.definition.columns) == len(rows)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON_VALUES, min_size=1), min_size=1))
def test_any_json_is_taken_by_what_is_inferred_from_it(records: list[dict[str, Any]]) -> None:
    # Given
    body = json.dumps(records).encode()
    # When
    found = infer_dataset("d", "application/json", "utf-8", body)
    # Then
    assert _takes("application/json", body, found.definition.columns) == len(records)
