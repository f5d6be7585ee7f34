"""Avro and Parquet from outside: damage is refused, few bytes stay few, values keep to the rules."""

from __future__ import annotations

import datetime as dt
import io
import json
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datapunk.errors import (
    DatapunkError,
    InvalidInputError,
    MalformedRequestError,
    PayloadTooLargeError,
)
from datapunk.lake.binary import bodies, parquet
from datapunk.lake.binary.avro import AvroFile
from datapunk.lake.binary.parquet import ParquetFile
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.parsing import AVRO, PARQUET, parse_body
from datapunk.lake.sifting import sift_body
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import FILE_WRITERS, as_avro, as_parquet, column_of

COLUMNS = [column_of(f"c_{kind}", kind) for kind in ColumnType]
NAMES = [Column(name="n", type=ColumnType.INTEGER), Column(name="t", type=ColumnType.TEXT)]
ROWS = [{"n": n, "t": f"text {n}" * 3} for n in range(300)]
FILES = {media_type: write(NAMES, ROWS) for media_type, write in FILE_WRITERS.items()}


def _read(media_type: str, content: bytes, columns: list[Column]) -> str:
    return "".join(chunk.text for chunk in parse_body(media_type, "utf-8", content, columns).chunks)


def _parquet(**arrays: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(arrays), written)
    return written.getvalue()


def _avro(field: Any, *values: Any, codec: str = "null") -> bytes:
    written = io.BytesIO()
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": field}]}
    fastavro.writer(written, schema, [{"v": value} for value in values], codec=codec)
    return written.getvalue()


def _kept(media_type: str, content: bytes, kind: ColumnType) -> list[tuple[Any, str, str]]:
    """Return content, rule and reason of the rows that do not fit a column `v`."""
    sifted = sift_body(media_type, "utf-8", content, [Column(name="v", type=kind)])
    rows = [row for batch in sifted.batches for row in batch.refused]
    return [(json.loads(row.content)["v"], row.rule, row.reason) for row in rows]


@given(data=st.data(), media_type=st.sampled_from(sorted(FILES)))
def test_damaged_files_are_refused_or_read(data: st.DataObject, media_type: str) -> None:
    # Given a file that was cut, or some of whose bytes are others
    content = bytearray(FILES[media_type])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    edges = st.integers(0, 400) | st.integers(len(content) - 500, len(content))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(edges | st.integers(0, len(content)))
        if 0 <= place < len(content):
            content[place] = data.draw(st.integers(0, 255))
    # When / Then nothing but our own errors comes, with what is wrong in them
    try:
        _read(media_type, bytes(content), NAMES)
    except (MalformedRequestError, InvalidInputError, PayloadTooLargeError) as error:
        assert error.detail


@given(content=st.binary(max_size=200), media_type=st.sampled_from(sorted(FILES)))
def test_what_is_no_such_file_is_refused(content: bytes, media_type: str) -> None:
    # Given
    start = {AVRO: b"Obj\x01", PARQUET: b"PAR1"}[media_type]
    for body in (content, start + content, start + content + start):
        # When / Then
        with pytest.raises(DatapunkError) as caught:
            _read(media_type, body, NAMES)
        assert caught.value.status in (400, 413, 422)


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard", "snappy"])
def test_all_codecs_are_read(codec: str) -> None:
    # Given blocks as other programs pack them
    content = as_avro(NAMES, ROWS, codec="null")
    if codec != "null":
        content = _packed(content, codec)
    # When
    read = _read(AVRO, content, NAMES)
    # Then
    assert read == _read(PARQUET, FILES[PARQUET], NAMES)


def _packed(content: bytes, codec: str) -> bytes:
    """Return a file of one block, which is not packed, as one that is."""
    head, block = _parts(content)
    pack: Callable[[bytes], bytes] = {
        "deflate": lambda data: zlib.compress(data, wbits=-15),
        "zstandard": lambda data: pa.compress(data, codec="zstd", asbytes=True),
        "snappy": lambda data: (
            pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")
        ),
    }[codec]
    name = codec.encode()
    head = head.replace(b"\x08null", bytes([len(name) * 2]) + name)
    count, data = block
    packed = pack(data)
    return head + _number(count) + _number(len(packed)) + packed + head[-16:]


def _parts(content: bytes) -> tuple[bytes, tuple[int, bytes]]:
    file = AvroFile(io.BytesIO(content), NAMES)
    place = file.bytes_done()
    block = file._block()
    assert block is not None
    return content[:place], block


def _number(value: int) -> bytes:
    value, found = value << 1, bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def test_an_unknown_codec_is_named() -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError, match="'bzip2'; what is read: null, deflate"):
        _read(AVRO, _avro("long", 1, codec="bzip2"), NAMES)


@pytest.mark.parametrize("codec", ["deflate", "zstandard", "snappy"])
def test_a_block_that_unpacks_to_very_much_is_refused(codec: str) -> None:
    # Given some kilobytes that stand for 64 MiB
    content = _packed(as_avro(NAMES, [{"n": 1, "t": "x" * 1000}], codec="null"), codec)
    place = AvroFile(io.BytesIO(content), NAMES).bytes_done()
    bomb = bytes(64 * 1024 * 1024)
    pack: dict[str, Callable[[], bytes]] = {
        "deflate": lambda: zlib.compress(bomb, wbits=-15),
        "zstandard": lambda: pa.compress(bomb, codec="zstd", asbytes=True),
        "snappy": lambda: pa.compress(bomb, codec="snappy", asbytes=True) + bytes(4),
    }
    packed = pack[codec]()
    body = content[:place] + _number(1) + _number(len(packed)) + packed + content[-16:]
    # When / Then
    with pytest.raises((PayloadTooLargeError, MalformedRequestError), match=r"16,777,216 "):
        _read(AVRO, body, NAMES)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("long", "are records"),
        ({"type": "record", "name": "R", "fields": []}, "take no bytes"),
        ({"type": "record", "name": "R"}, "not valid"),
        ({"type": "record", "name": "R", "fields": [{"name": "n", "type": "Other"}]}, "not valid"),
        (
            {
                "type": "record",
                "name": "R",
                "fields": [{"name": "n", "type": "long"}, {"name": "t", "type": ["null", "R"]}],
            },
            "holds itself",
        ),
        (
            {
                "type": "record",
                "name": "R",
                "fields": [{"name": "n", "type": {"type": "array", "items": "null"}}],
            },
            "take no bytes",
        ),
    ],
)
def test_schemas_that_stand_for_anything_are_refused(schema: Any, message: str) -> None:
    # Given a file with the schema, and no rows
    text = json.dumps(schema).encode()
    about = _number(1) + _number(11) + b"avro.schema" + _number(len(text)) + text + b"\0"
    # When / Then
    with pytest.raises(MalformedRequestError, match=message):
        _read(AVRO, b"Obj\x01" + about + bytes(16), NAMES)


def test_a_text_in_many_rows_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a file of some kilobytes: one text of a megabyte, in 2,000 rows
    monkeypatch.setattr(bodies, "MOST_TEXT", 9_000_000)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000), ["x" * 1_000_000])
    content = _parquet(t=text)
    assert len(content) < 100_000
    # When / Then
    with pytest.raises(PayloadTooLargeError, match="characters of JSON"):
        _read(PARQUET, content, NAMES)


@pytest.mark.parametrize("most", [1_000_000, parquet.MOST_BATCH_BYTES])
def test_lists_of_very_many_values_are_refused(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    # Given a file of some kilobytes: one row, a list of millions of numbers
    monkeypatch.setattr(parquet, "MOST_BATCH_BYTES", most)
    count = 2_200_000
    values = pa.Array.from_buffers(pa.int8(), count, [None, pa.py_buffer(bytes(count))])
    content = _parquet(t=pa.ListArray.from_arrays([0, count], values))
    assert len(content) < 100_000
    # When / Then it is too much to be read, or for a row
    with pytest.raises(
        (PayloadTooLargeError, InvalidInputError), match=r"4,194,304 char|1,000,000 may be read"
    ):
        _read(PARQUET, content, NAMES)


def test_no_byte_of_what_a_parquet_file_says_of_itself_ends_the_process() -> None:
    # Given a file whose metadata, all but one byte, are sound: pyarrow ends the process at some of them
    whole = as_parquet(NAMES, ROWS[:3], store_schema=False)
    size = int.from_bytes(whole[-8:-4], "little")
    read = 0
    for place in range(len(whole) - 8 - size, len(whole) - 8):
        for value in (0, whole[place] ^ 2):
            content = bytearray(whole)
            content[place] = value
            # When / Then
            try:
                _read(PARQUET, bytes(content), NAMES)
            except DatapunkError as error:
                assert error.status in (400, 413, 422)
            else:
                read += 1
    assert read > 0


def test_a_parquet_body_is_bounded_as_a_compressed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setattr(bodies, "MOST_BYTES", 1_000)
    # When / Then
    with pytest.raises(PayloadTooLargeError, match="1,000 bytes"):
        _read(PARQUET, FILES[PARQUET], NAMES)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (as_parquet([Column(name="x", type=ColumnType.TEXT)], []), "x"),
        (as_avro([Column(name="x", type=ColumnType.TEXT)], []), "x"),
    ],
)
def test_columns_are_looked_at_before_any_row(content: bytes, names: str) -> None:
    # Given
    media_type = AVRO if content.startswith(b"Obj") else PARQUET
    required = [Column(name="n", type=ColumnType.INTEGER, nullable=False)]
    # When
    with pytest.raises(InvalidInputError) as caught:
        _read(media_type, content, required)
    # Then
    assert [(item.field, item.code) for item in caught.value.errors] == [
        ("x", "extra_forbidden"),
        ("n", "missing"),
    ]


def test_values_that_do_not_fit_are_named_as_those_of_json() -> None:
    # Given
    content = _parquet(n=pa.array([1, 2**64 - 1], pa.uint64()), t=pa.array(["a", "b\0"]))
    # When
    with pytest.raises(InvalidInputError) as caught:
        _read(PARQUET, content, NAMES)
    # Then
    assert {item.field for item in caught.value.errors} == {"records.1.n", "records.1.t"}


LATE = 400_000_000_000_000_000  # microseconds: the year 14,645
KEPT: list[tuple[str, bytes, ColumnType, list[tuple[Any, str]]]] = [
    (PARQUET, _parquet(v=[b"\xff", None]), ColumnType.TEXT, [("_w==", "bytes_type")]),
    (AVRO, _avro("bytes", b"\xff"), ColumnType.TEXT, [("_w==", "bytes_type")]),
    (PARQUET, _parquet(v=[float("nan"), 1.0]), ColumnType.NUMBER, [(None, "finite_number")]),
    (PARQUET, _parquet(v=["{}", "{"]), ColumnType.JSON, [("{", "json_invalid")]),
    (PARQUET, _parquet(v=[1.5]), ColumnType.INTEGER, [(1.5, "int_type")]),
    (
        PARQUET,
        _parquet(v=pa.array([0, LATE], pa.timestamp("us", "Europe/Berlin"))),
        ColumnType.TIMESTAMP,
        [("a time before the year 1 or after 9999", "unreadable")],
    ),
]


@pytest.mark.parametrize(("media_type", "content", "kind", "expected"), KEPT)
def test_rows_that_do_not_fit_are_kept_whole(
    media_type: str, content: bytes, kind: ColumnType, expected: list[tuple[Any, str]]
) -> None:
    # Given / When
    found = _kept(media_type, content, kind)
    # Then a number that is none is kept as it came
    assert [(None if row[0] != row[0] else row[0], row[1]) for row in found] == expected


def test_a_moment_that_python_does_not_know_is_one_row_of_many() -> None:
    # Given numbers that fit a long and not the calendar
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "v", "type": {"type": "long", "logicalType": "timestamp-micros"}}],
    }
    written, plain = io.BytesIO(), {**schema, "fields": [{"name": "v", "type": "long"}]}
    fastavro.writer(written, plain, [{"v": 0}, {"v": LATE}, {"v": 1}])
    file = AvroFile(io.BytesIO(written.getvalue()), [Column(name="v", type=ColumnType.TIMESTAMP)])
    head = written.getvalue()[: file.bytes_done()]
    text = json.dumps(schema).encode()
    about = _number(1) + _number(11) + b"avro.schema" + _number(len(text)) + text + b"\0"
    content = b"Obj\x01" + about + head[-16:] + written.getvalue()[len(head) :]
    # When
    sifted = sift_body(AVRO, "utf-8", content, [Column(name="v", type=ColumnType.TIMESTAMP)])
    (batch,) = sifted.batches
    # Then
    assert batch.lines == ["1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00.000001+00:00"]
    assert [(row.position, row.rule) for row in batch.refused] == [(2, "unreadable")]


@pytest.mark.parametrize(
    ("array", "kind", "expected"),
    [
        (
            pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
            ColumnType.TIMESTAMP,
            "2023-11-14T22:13:20.123456\n",
        ),
        (
            pa.array([1_700_000_000], pa.timestamp("s", "Asia/Tokyo")),
            ColumnType.TIMESTAMP,
            "2023-11-14T22:13:20+00:00",
        ),
        (pa.array([Decimal("5.00")]), ColumnType.INTEGER, "5"),
        (pa.array([Decimal("5.25")]), ColumnType.NUMBER, "5.25"),
        (pa.array([Decimal("1.10")]), ColumnType.DECIMAL, "1.10"),
        (pa.array([b"\0" * 16], pa.binary(16)), ColumnType.UUID, "0" * 8),
        (pa.array([dt.date(2026, 1, 2)]), ColumnType.DATE, "2026-01-02"),
        (pa.array([{"a": [1, None]}]), ColumnType.JSON, '"{""a"":[1,null]}"'),
        (
            pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
            ColumnType.JSON,
            '"{""k"":1}"',
        ),
        (pa.array(["x"]).dictionary_encode(), ColumnType.TEXT, '"x"'),
    ],
)
def test_types_that_json_does_not_have(array: pa.Array, kind: ColumnType, expected: str) -> None:
    # Given / When
    read = _read(PARQUET, _parquet(v=array), [Column(name="v", type=kind)])
    # Then
    assert read.startswith(expected)


def test_nanoseconds_of_avro_are_moments() -> None:
    # Given
    field = ["null", {"type": "long", "logicalType": "timestamp-nanos"}]
    content = _avro(field, 1_700_000_000_123_456_789, None)
    # When
    read = _read(AVRO, content, [Column(name="v", type=ColumnType.TIMESTAMP)])
    # Then
    assert read == "2023-11-14T22:13:20.123456+00:00\n\n"


@pytest.mark.parametrize("media_type", sorted(FILES))
def test_reading_goes_on_at_any_place(media_type: str) -> None:
    # Given a file of several blocks or row groups
    content = (
        as_avro(NAMES, ROWS, sync_interval=700)
        if media_type == AVRO
        else as_parquet(NAMES, ROWS, row_group_size=70)
    )

    def opened(position: int) -> Any:
        if media_type == AVRO:
            return AvroFile(io.BytesIO(content), NAMES, position)
        return ParquetFile(content, NAMES, position)

    whole = opened(0)
    places = [0]
    texts = []
    for record in whole.records():
        texts.append(record.text)
        places.append(whole.position)
    assert len(texts) == len(ROWS)
    for done in range(0, len(ROWS) + 1, 7):
        # When
        rest = [record.text for record in opened(places[done]).records()]
        # Then
        assert rest == texts[done:]
