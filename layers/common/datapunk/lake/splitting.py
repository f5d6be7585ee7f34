"""Files of any size read record by record, each with the byte at which it ends: there one may go on later.

What a record of CSV is, Python's reader says: it takes as many lines as the record has, and the lines tell
how many bytes they were. Most files have no quotes, so that each line is a record: those lines are taken and
stored by the thousand as they stand, several times as fast, and only what is not so plain goes to the reader.
"""

from __future__ import annotations

import csv
import gc
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from datapunk.encodings import is_broken
from datapunk.errors import FieldError, InvalidInputError, MalformedRequestError
from datapunk.lake.columns import Column
from datapunk.lake.parsing import CSV, FILES, dialect_of, has_signs
from datapunk.lake.sifting import Batch, Refused, batch_of_lines, batch_of_texts, sift_records

MOST_RECORD_BYTES = 4 * 1024 * 1024
"""Of one record: a file without line feeds is none of records."""
CHUNK_ROWS = 10_000
"""Of a chunk; one of plain lines may have twice as many, less one."""
CHUNK_BYTES = 8 * 1024 * 1024
_PLAIN_BYTES = 512 * 1024
"""Of lines that are taken together."""
_MARK = "\ufeff"
_BLANK = "\r\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a CSV file is written: its delimiter, its quote, and the names in its header."""

    delimiter: str
    quote: str
    names: list[str]


@dataclass(slots=True)
class Record:
    """One record as it stands in the file; of CSV its fields; what is wrong where it can not be read.

    Of Avro and Parquet, what stands for it as JSON.
    """

    text: str
    fields: list[str] | None = None
    wrong: FieldError | None = None


@dataclass(slots=True)
class Chunk:
    """Some records that follow each other, the byte behind them, and whether the file ends there.

    Either `records`, or `lines` of CSV that are records as they stand, with commas between their fields.
    """

    records: list[Record] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    position: int = 0
    ended: bool = False

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self.lines) or len(self.records)


class Positioned(Protocol):
    """What records are read from: `position` is the place behind the last one."""

    position: int


class Lines:
    """The lines of a stream from a byte on, as texts; `position` is the byte behind the last one.

    Iterating raises InvalidInputError where a record is too long, and MalformedRequestError where the stream
    cannot be unpacked.
    """

    def __init__(self, stream: io.BufferedReader, position: int = 0) -> None:
        self._stream = stream
        self._taken: list[str] = []
        self._size = 0
        self._spoiled = False
        self._plain_from = 1  # a mark may stand at the first byte
        self.position = position
        with _unpacking():
            stream.seek(position)

    def __iter__(self) -> Iterator[str]:
        """Return itself: it is read once."""
        return self

    def __next__(self) -> str:
        """Return the next line with its end."""
        with _unpacking():
            line = self._stream.readline(MOST_RECORD_BYTES + 1)
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size > MOST_RECORD_BYTES:
            raise InvalidInputError(
                f"Behind byte {self.position:,} no record ends within {MOST_RECORD_BYTES:,} bytes.",
                errors=[FieldError("file", "has a record that is too long", "too_long")],
            )
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self._spoiled = True
            text = line.decode(errors="backslashreplace")
        if self.position == 0:
            text = text.removeprefix(_MARK)
        self.position += len(line)
        self._taken.append(text)
        return text

    def plain(self, quote: str) -> list[str]:
        """Take the next lines where each is a record of CSV as it stands, CHUNK_ROWS at most.

        Blank ones are left out. There are none where a quote, a lone carriage return or a backslash is near,
        or what is no UTF-8: those are for who reads line by line.
        """
        if self.position < self._plain_from:
            return []
        with _unpacking():
            block = self._stream.peek()[:_PLAIN_BYTES]
        end = block.rfind(b"\n") + 1
        try:
            text = block[:end].decode()
        except UnicodeDecodeError:
            text = quote
        ends = "\r\n" if text.count("\r\n") == text.count("\n") else "\n"
        lines = text.split(ends)
        longest = max(map(len, lines))
        if not end or longest > csv.field_size_limit() or has_signs("".join(lines), quote):
            self._plain_from = self.position + max(end, 1)
            return []
        lines.pop()  # what is behind the last end
        if len(lines) > CHUNK_ROWS:
            lines = lines[:CHUNK_ROWS]
            end = len(ends.join([*lines, ""]).encode())
        self._stream.read(end)
        self.position += end
        return [line for line in lines if line]

    def record(self, fields: list[str] | None, wrong: FieldError | None) -> Record:
        """Return what was read since the last record as one."""
        if self._spoiled:
            wrong = FieldError("(row)", "is not UTF-8", "encoding")
        text = "".join(self._taken).rstrip(_BLANK)
        self._taken, self._size, self._spoiled = [], 0, False
        return Record(text, fields, wrong)


def layout_of(stream: io.BufferedReader, columns: list[Column]) -> tuple[Layout, int]:
    """Return how a CSV file is written, and the byte behind its header.

    Raises MalformedRequestError where it has no header that can be read.
    """
    delimiter, quote = dialect_of(next(Lines(stream), ""), columns)
    lines = Lines(stream)
    reader = csv.reader(lines, strict=True, delimiter=delimiter, quotechar=quote)
    record = _next_record(lines, reader)
    if record is not None and record.wrong is None and record.fields is not None:
        return Layout(delimiter, quote, [name.strip() for name in record.fields]), lines.position
    raise MalformedRequestError("The file has no header of CSV in UTF-8.")


def chunks_of(lines: Lines, media_type: str, layout: Layout | None) -> Iterator[Chunk]:
    """Yield the records of a file of CSV or NDJSON, as many at once as are stored at once.

    Blank lines between them are none. The last chunk, which may be empty, has `ended`.
    """
    if media_type == CSV and layout is not None:
        return _csv_chunks(lines, layout)
    return chunks_of_records(_json_records(lines), lines)


def chunks_of_records(records: Iterator[Record], source: Positioned) -> Iterator[Chunk]:
    """Yield records as they come from a source, as many at once as are stored at once."""
    chunk, size = Chunk(), 0
    for record in records:
        chunk.records.append(record)
        size += len(record.text)
        chunk.position = source.position
        if _is_full(chunk, size):
            yield chunk
            chunk, size = Chunk(), 0
    yield _last(chunk, source)


def take(chunks: Iterator[Chunk]) -> Chunk:
    """Return the next chunk, of a file that has not ended."""
    with _uncollected():
        return next(chunks)


def _is_full(chunk: Chunk, size: int) -> bool:
    return chunk.count >= CHUNK_ROWS or size >= CHUNK_BYTES


def _last(chunk: Chunk, source: Positioned) -> Chunk:
    chunk.position, chunk.ended = source.position, True
    return chunk


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have nobody look for cycles: rows make none, and looking at so many takes longer than reading them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def batch_of(chunk: Chunk, media_type: str, layout: Layout | None, columns: list[Column]) -> Batch:
    """Validate records for columns (of CSV in the order of the header's names), numbered from 1."""
    names = layout.names if layout else []
    if chunk.lines:
        return batch_of_lines(chunk.lines, names, columns)
    batch, records = Batch(names), chunk.records
    sound = [place for place, record in enumerate(records, 1) if record.wrong is None]
    parts: Iterator[Batch]
    if layout is None:
        parts = sift_records([records[place - 1].text for place in sound], columns)
    else:
        rows = [records[place - 1].fields or [] for place in sound]
        parts = iter([batch_of_texts(rows, 0, names, columns)])
    for part in parts:
        batch.positions += [sound[place - 1] for place in part.positions]
        batch.rows += part.rows
        batch.lines += part.lines
        batch.refused += [
            Refused(sound[row.position - 1], row.content, row.errors) for row in part.refused
        ]
    batch.refused += [
        Refused(
            place,
            record.text if media_type in FILES else json.dumps(record.text),
            (record.wrong,),
        )
        for place, record in enumerate(records, 1)
        if record.wrong is not None
    ]
    return batch


def _csv_chunks(lines: Lines, layout: Layout) -> Iterator[Chunk]:
    """Yield plain lines together, and apart from them what the reader makes of others."""
    delimiter, quote = layout.delimiter, layout.quote
    reader = csv.reader(lines, strict=True, delimiter=delimiter, quotechar=quote)
    chunk, size = Chunk(), 0
    while True:
        plain, records = lines.plain(quote), []
        if not plain:
            record = _next_record(lines, reader)
            if record is None:
                break
            # A line that a buffer ends in parts no chunk.
            if chunk.lines and _is_plain(record, quote):
                plain = [record.text]
            else:
                records = [record]
        elif delimiter != ",":
            plain, records = [], [Record(line, line.split(delimiter)) for line in plain]
        if (chunk.records and plain) or (chunk.lines and records):
            yield chunk
            chunk, size = Chunk(), 0
        chunk.lines += plain
        chunk.records += records
        chunk.position = lines.position
        size += sum(map(len, plain)) + sum(len(record.text) for record in records)
        if _is_full(chunk, size):
            yield chunk
            chunk, size = Chunk(), 0
    yield _last(chunk, lines)


def _next_record(lines: Lines, reader: Any) -> Record | None:
    """Return the next record that the reader finds, None where there is none."""
    while True:
        fields, wrong = None, None
        try:
            fields = next(reader)
        except StopIteration:
            return None
        except csv.Error as error:
            wrong = FieldError("(row)", f"is not well-formed CSV: {error}", "csv")
        record = lines.record(fields, wrong)
        if record.text or wrong is not None:
            return record


def _is_plain(record: Record, quote: str) -> bool:
    """Tell whether a record of the reader is a line of CSV as it stands."""
    text = record.text
    return record.wrong is None and "\n" not in text and not has_signs(text, quote)


def _json_records(lines: Lines) -> Iterator[Record]:
    for line in lines:
        record = lines.record(None, None)
        if line.strip():
            yield record


class _unpacking:  # noqa: N801 -- used like a function, for each line
    """Say of a stream that cannot be unpacked what the caller can understand."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate what unpacking raises."""
        if error is not None and is_broken(error):
            raise MalformedRequestError(
                "The file is not in its `encoding`, or not whole; one that is not compressed has none."
            ) from error
