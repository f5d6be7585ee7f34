"""Bodies of records: the same rows in any format mean the same; what is wrong is named."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from datapunk.errors import InvalidInputError, MalformedRequestError
from datapunk.lake.columns import RANGES, Column, ColumnType
from datapunk.lake.parsing import CHUNK, CSV, JSON, MAX_ERRORS, NDJSON, parse_body
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import FILE_WRITERS, WRITERS, columns_and_rows

READERS: dict[ColumnType, Any] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.NUMBER: float,
    ColumnType.DECIMAL: Decimal,
    ColumnType.BOOLEAN: lambda text: text.lower() in ("t", "true"),
    ColumnType.DATE: dt.date.fromisoformat,
    ColumnType.TIMESTAMP: dt.datetime.fromisoformat,
    ColumnType.UUID: uuid.UUID,
    ColumnType.JSON: json.loads,
    ColumnType.VECTOR: json.loads,
    **dict.fromkeys(RANGES, str),
}
COLUMNS = [
    Column(name="id", type=ColumnType.INTEGER, nullable=False),
    Column(name="name", type=ColumnType.TEXT),
]


def read_copy(text: str) -> list[list[str | None]]:
    """Read COPY's CSV format as PostgreSQL's documentation has it: an unquoted empty field is null."""
    rows: list[list[str | None]] = [[]]
    place = 0
    while place < len(text):
        if text[place] == '"':
            end = place + 1
            while text[end] != '"' or text[end + 1 : end + 2] == '"':
                end += 2 if text[end] == '"' else 1
            rows[-1].append(text[place + 1 : end].replace('""', '"'))
            place = end + 1
        else:
            end = min(found for sign in ",\n" if (found := text.find(sign, place)) >= 0)
            rows[-1].append(text[place:end] or None)
            place = end
        if text[place] == "\n" and place + 1 < len(text):
            rows.append([])
        place += 1
    return [row for row in rows if row]


def parse(media_type: str, content: bytes, columns: list[Column]) -> list[dict[str, Any]]:
    """Parse a body and read what would go to COPY."""
    parsed = parse_body(media_type, "utf-8", content, columns)
    found: list[dict[str, Any]] = []
    for chunk in parsed.chunks:
        rows = read_copy(chunk.text + ("" if chunk.text.endswith("\n") else "\n"))
        assert len(rows) == chunk.count
        for row in rows:
            named = dict(zip(parsed.columns, row, strict=True))
            found.append(
                {c.name: None if v is None else READERS[c.type](v) for c, v in named.items()}
            )
    return found


@given(columns_and_rows())
def test_all_formats_of_the_same_rows_mean_the_same(
    drawn: tuple[list[Column], list[dict[str, Any]]],
) -> None:
    # Given
    columns, rows = drawn
    for media_type, write in (WRITERS | FILE_WRITERS).items():
        # When
        found = parse(media_type, write(columns, rows), columns)
        # Then
        assert found == rows, media_type


@given(
    st.lists(st.sampled_from(["1", "x", "", '"', ",", "\n", "\r\n", "\r", "\\.", "\\N", "\x00"]))
)
def test_any_csv_is_read_as_rows_or_refused(parts: list[str]) -> None:
    # Given
    body = "id,name\n" + "".join(parts)
    # When
    try:
        rows = parse(CSV, body.encode(), COLUMNS)
    except (InvalidInputError, MalformedRequestError) as error:
        # Then
        assert error.errors
    else:
        assert all(isinstance(row["id"], int) for row in rows)
        assert all(row["name"] is None or "\x00" not in row["name"] for row in rows)


@given(
    st.sampled_from([JSON, NDJSON]), st.one_of(st.binary(max_size=40), st.text().map(str.encode))
)
def test_any_json_body_is_read_or_refused(media_type: str, content: bytes) -> None:
    # Given / When
    try:
        rows = parse(media_type, content, COLUMNS)
    except (InvalidInputError, MalformedRequestError) as error:
        # Then
        assert error.errors
    else:
        assert rows == [] or media_type == NDJSON


def _wrong(media_type: str, content: bytes) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        parse(media_type, content, COLUMNS)
    return {error.field: error.code for error in raised.value.errors}


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (JSON, b'[{"id": 1}, {"id": "two", "other": 1}]'),
        (NDJSON, b'{"id": 1}\n\n{"id": "two", "other": 1}\n'),
    ],
)
def test_bad_values_are_named_by_row_and_column(media_type: str, content: bytes) -> None:
    # Given / When / Then
    assert _wrong(media_type, content) == {
        "records.1.id": "int_type",
        "records.1.other": "extra_forbidden",
    }


@pytest.mark.parametrize("body", ["id,name\n1,a\ntwo,b\n", 'id,name\n1,"a"\ntwo,b\n'])
def test_bad_csv_cells_are_named_by_row_and_column(body: str) -> None:
    # Given / When / Then
    assert _wrong(CSV, body.encode()) == {"records.1.id": "int_parsing"}


def test_json_values_are_taken_strictly() -> None:
    # Given / When / Then
    assert _wrong(JSON, b'[{"id": 1.0}, {"id": true}, {"id": 1, "name": 5}]') == {
        "records.0.id": "int_type",
        "records.1.id": "int_type",
        "records.2.name": "string_type",
    }


@pytest.mark.parametrize(
    ("header", "field", "code"),
    [
        ("id,other", "other", "extra_forbidden"),
        ("id,id", "id", "duplicate"),
        ("name", "id", "missing"),
        ("", "(empty)", "extra_forbidden"),
    ],
)
def test_a_wrong_header_is_named(header: str, field: str, code: str) -> None:
    # Given / When / Then
    assert _wrong(CSV, f"{header}\n1,2\n".encode())[field] == code


@pytest.mark.parametrize("row", ["1", "1,a,b", '1,"a",b', ""])
def test_a_row_of_another_width_is_named(row: str) -> None:
    # Given
    body = f"id,name\n1,a\n{row}\n2,b\n"
    # When / Then
    assert "records.1" in _wrong(CSV, body.encode())


def test_columns_may_come_in_any_order_and_be_left_out() -> None:
    # Given / When / Then
    assert parse(CSV, b"name,id\na,1\n", COLUMNS) == [{"name": "a", "id": 1}]
    assert parse(CSV, b"id\n1\n", COLUMNS) == [{"id": 1}]
    assert parse(JSON, b'[{"id": 1}]', COLUMNS) == [{"id": 1, "name": None}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n"])
def test_line_ends_of_any_system(end: str, last: str) -> None:
    # Given
    body = f"\ufeffid,name{end}1,a{end}2,b{last}"
    # When / Then
    assert parse(CSV, body.encode(), COLUMNS) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def test_a_header_alone_is_no_rows() -> None:
    # Given / When / Then
    assert parse(CSV, b"id,name\n", COLUMNS) == []
    assert parse(JSON, b"[]", COLUMNS) == []
    assert parse(NDJSON, b"\n\n", COLUMNS) == []


def test_other_charsets_are_read() -> None:
    # Given
    body = "id,name\n1,K\u00f6ln\n".encode("iso-8859-1")
    # When
    (chunk,) = parse_body(CSV, "iso-8859-1", body, COLUMNS).chunks
    # Then
    assert "K\u00f6ln" in chunk.text


@pytest.mark.parametrize("charset", ["utf-8", "no-such-charset", "base64", "\x00", "idna"])
def test_a_body_that_is_not_in_its_charset_is_malformed(charset: str) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        parse_body(CSV, charset, b"id\n\xff\xff\n", COLUMNS)


def test_a_charset_that_makes_lone_surrogates_is_malformed() -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        parse_body(CSV, "raw_unicode_escape", b"id,name\n1,\\ud800\n", COLUMNS)


@pytest.mark.parametrize("content", [b"{}", b'"x"', b"1", b"null"])
def test_json_that_is_no_array_is_refused(content: bytes) -> None:
    # Given / When / Then
    with pytest.raises(InvalidInputError, match="array"):
        parse(JSON, content, COLUMNS)


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CSV])
def test_the_list_of_errors_has_an_end(media_type: str) -> None:
    # Given
    row = {JSON: '{"id": "x"}', NDJSON: '{"id": "x"}', CSV: "x"}[media_type]
    text = {JSON: "[" + ",".join([row] * 300) + "]", NDJSON: "\n".join([row] * 300)}.get(
        media_type, "id\n" + "\n".join([row] * 300)
    )
    # When
    wrong = _wrong(media_type, text.encode())
    # Then
    assert len(wrong) == MAX_ERRORS


@pytest.mark.parametrize("quote", ["", '"'])
def test_rows_are_counted_across_chunks(quote: str) -> None:
    # Given
    lines = [f"{number},{quote}a{quote}" for number in range(CHUNK + 3)]
    lines[-1] = "x,a"
    # When / Then
    assert _wrong(CSV, ("id,name\n" + "\n".join(lines)).encode()) == {
        f"records.{CHUNK + 2}.id": "int_parsing"
    }
