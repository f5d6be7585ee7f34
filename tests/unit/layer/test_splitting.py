"""Files of any size, split at records: the same records wherever reading is broken off and begun again."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk.errors import InvalidInputError, MalformedRequestError
from datapunk.lake import splitting
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.parsing import CSV, NDJSON
from datapunk.lake.splitting import Chunk, Layout, Lines, Record, chunks_of, layout_of, take
from hypothesis import given
from hypothesis import strategies as st

LAYOUT = Layout(",", '"', ["a", "b"])
SIGNS = st.text(alphabet="ab,;\"'\n\r\\ {}é日\ufeff", max_size=12)
FIELDS = st.lists(st.lists(SIGNS, min_size=1, max_size=4), max_size=12)


def _buffered(stream: Any) -> io.BufferedReader:
    """Return a reader whose buffer often ends within a line."""
    return io.BufferedReader(stream, 64)


def _records(chunk: Chunk) -> list[Record]:
    """Return the records of a chunk; it has those of one kind only."""
    assert not (chunk.lines and chunk.records)
    return chunk.records or [Record(line, line.split(",")) for line in chunk.lines]


def _in_pieces(
    content: bytes, media_type: str, rows: int, *, compressed: bool = False
) -> Iterator[Record]:
    """Yield the records of a file, each chunk by a worker of its own that begins where the last one ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "CHUNK_ROWS", rows)
        position, ended = 0, False
        while not ended:
            stream: Any = io.BytesIO(content)
            if compressed:
                stream = gzip.GzipFile(fileobj=stream)
            lines = Lines(_buffered(stream), position)
            chunk = take(chunks_of(lines, media_type, LAYOUT))
            assert chunk.count < 2 * rows
            yield from _records(chunk)
            position, ended = chunk.position, chunk.ended
        assert position == len(gzip.decompress(content) if compressed else content)


@given(rows=FIELDS, size=st.integers(1, 5), end=st.sampled_from(["\n", "\r\n"]))
def test_what_csv_has_is_found_whatever_its_fields_hold(
    rows: list[list[str]], size: int, end: str
) -> None:
    # Given fields with line feeds, quotes and delimiters
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    content = text.getvalue().encode()
    # When
    found = list(_in_pieces(gzip.compress(content), CSV, size, compressed=True))
    # Then
    assert [record.fields for record in found] == rows
    assert all(record.wrong is None for record in found)


@given(content=st.binary(max_size=200) | SIGNS.map(str.encode), size=st.integers(1, 5))
def test_where_reading_is_broken_off_changes_nothing(content: bytes, size: int) -> None:
    # Given any bytes at all
    for media_type in (CSV, NDJSON):
        # When
        at_once = list(_in_pieces(content, media_type, 1_000))
        in_pieces = list(_in_pieces(content, media_type, size))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lines, "plain", lambda *_: [])
            line_by_line = list(_in_pieces(content, media_type, 1_000))
        # Then
        assert in_pieces == at_once
        assert line_by_line == at_once
        # And of what is well-formed nothing is left out
        if media_type == NDJSON:
            lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
            readable = [record for record in at_once if record.wrong is None]
            assert [record.text for record in readable] == [
                text.rstrip("\r") for text in map(_decoded, lines) if text and text.strip()
            ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_without_quotes_are_taken_together(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    rows = [[str(number), f"é{number}"] for number in range(1_000)]
    content = ("a,b" + end + end.join(map(",".join, rows)) + end).encode()
    asked: list[Lines] = []
    real = Lines.__next__

    def counted(lines: Lines) -> str:
        asked.append(lines)
        return real(lines)

    monkeypatch.setattr(Lines, "__next__", counted)
    # When
    lines = Lines(io.BufferedReader(io.BytesIO(content), len(content)), len("a,b" + end))
    chunk = take(chunks_of(lines, CSV, LAYOUT))
    # Then nobody looked at them one by one, and once at what is behind them
    assert chunk.lines == [",".join(row) for row in rows]
    assert (chunk.position, chunk.ended) == (len(content), True)
    assert len(asked) == 1


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def test_a_quote_that_never_ends_takes_one_field_and_no_more() -> None:
    # Given
    content = b'1,"2\n' + b"x,y\n" * 100_000 + b"3,4\n"
    # When
    found = list(_in_pieces(content, CSV, 10_000))
    # Then what it has taken is one record that cannot be read, kept whole, and behind it all goes on
    assert found[0].wrong is not None
    assert found[0].text.startswith('1,"2\nx,y\n')
    assert len(found[0].text) < 140_000
    assert found[-1].fields == ["3", "4"]
    taken = found[0].text.count("x,y")
    assert taken + sum(record.fields == ["x", "y"] for record in found) == 100_000


@pytest.mark.parametrize(
    ("content", "layout", "end"),
    [
        (b"a,b\n1,2\n", Layout(",", '"', ["a", "b"]), 4),
        (b'\xef\xbb\xbf"a"; b\r\n1;2', Layout(";", '"', ["a", "b"]), 11),
        (b"'a'\t'b'", Layout("\t", "'", ["a", "b"]), 7),
        (b"\n\na\n", Layout(",", '"', ["a"]), 4),
    ],
)
def test_the_header_says_how_a_file_is_written(content: bytes, layout: Layout, end: int) -> None:
    # Given
    columns = [Column(name=name, type=ColumnType.INTEGER) for name in "ab"]
    # When / Then
    assert layout_of(_buffered(io.BytesIO(content)), columns) == (layout, end)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\n1\n", b'"a\n1\n'])
def test_a_file_without_a_header_is_none(content: bytes) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError, match="no header"):
        layout_of(_buffered(io.BytesIO(content)), [])


def test_a_record_that_does_not_end_is_refused_before_it_fills_the_memory() -> None:
    # Given
    lines = Lines(_buffered(io.BytesIO(b"ok\n" + b"x" * (splitting.MOST_RECORD_BYTES + 1))))
    assert next(lines) == "ok\n"
    lines.record(None, None)
    # When / Then
    with pytest.raises(InvalidInputError, match="Behind byte 3 no record ends"):
        next(lines)
