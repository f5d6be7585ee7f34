"""Files of rows, whole or on their way in: which reader reads which, and bodies of requests as rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from datapunk.errors import FieldError, PayloadTooLargeError
from datapunk.lake.binary.rows import RowFile
from datapunk.lake.columns import Column
from datapunk.lake.parsing import (
    MAX_ERRORS,
    PARQUET,
    Parsed,
    Rows,
    invalid,
    record_adapter,
    row_error,
    rows_of_records,
)
from datapunk.lake.sifting import Batch, Refused, Sifted
from datapunk.lake.splitting import Chunk, batch_of, chunks_of_records, take
from datapunk.storage.reading import PART_BYTES

MOST_BYTES = 32 * 1024 * 1024
"""Of a Parquet body, unpacked, as of one that came compressed."""
MOST_TEXT = 128 * 1024 * 1024
"""Characters of JSON that the rows of a body may be: a value in a file may stand for a million rows."""


def open_file(
    media_type: str, raw: io.RawIOBase, columns: Sequence[Column], position: int = 0
) -> RowFile:
    """Return a reader of an uploaded file, read anywhere by `raw`, from a place on.

    Raises MalformedRequestError for what is none, PayloadTooLargeError for what would unpack to too much,
    InvalidInputError for columns that do not fit those of the dataset.
    """
    if media_type == PARQUET:
        from datapunk.lake.binary.parquet import ParquetFile

        return ParquetFile(raw, columns, position)
    from datapunk.lake.binary.avro import AvroFile

    return AvroFile(io.BufferedReader(raw, PART_BYTES), columns, position)


def parse_file(media_type: str, content: bytes, columns: Sequence[Column]) -> Parsed:
    """Read a body of Avro or Parquet, as `parsing.parse_body` reads texts.

    Raises what `open_file` does, the more so while the chunks are read, and InvalidInputError naming row and
    column of what does not fit.
    """
    file = opened_body(media_type, content, columns)
    return Parsed(list(columns), _valid_rows(_chunks(file), columns))


def sift_file(media_type: str, content: bytes, columns: Sequence[Column]) -> Sifted:
    """Read a body of Avro or Parquet, as `sifting.sift_body` reads texts. Raises what `open_file` does."""
    file = opened_body(media_type, content, columns)
    return Sifted(list(columns), _batches(media_type, _chunks(file), list(columns)))


def opened_body(media_type: str, content: bytes, columns: Sequence[Column] | None) -> RowFile:
    """Return a reader of a body, without columns of whatever it holds. Raises what `open_file` does."""
    if media_type == PARQUET:
        from datapunk.lake.binary.parquet import ParquetFile

        return ParquetFile(content, columns, most=MOST_BYTES)
    from datapunk.lake.binary.avro import AvroFile

    return AvroFile(io.BytesIO(content), columns)


def _chunks(file: RowFile) -> Iterator[Chunk]:
    chunks, ended, size = chunks_of_records(file.records(), file), False, 0
    while not ended:
        chunk = take(chunks)
        size += sum(len(record.text) for record in chunk.records)
        if size > MOST_TEXT:
            raise PayloadTooLargeError(
                f"The rows of a body may be {MOST_TEXT:,} characters of JSON at most: upload larger files."
            )
        yield chunk
        ended = chunk.ended


def _valid_rows(chunks: Iterator[Chunk], columns: Sequence[Column]) -> Iterator[Rows]:
    adapter = record_adapter(columns, many=False)
    done = 0
    for chunk in chunks:
        records: list[Any] = []
        errors: list[FieldError] = []
        for index, record in enumerate(chunk.records, done):
            if record.wrong is not None:
                wrong = record.wrong
                column = "" if wrong.field == "(row)" else wrong.field
                errors.append(row_error(index, [column], wrong.message, wrong.code))
                continue
            try:
                records.append(adapter.validate_json(record.text))
            except ValidationError as error:
                errors += [
                    row_error(index, item["loc"], item["msg"], item["type"])
                    for item in error.errors(include_input=False, include_url=False)
                ]
            if len(errors) >= MAX_ERRORS:
                break
        if errors:
            raise invalid(iter(errors))
        done += len(chunk.records)
        yield from rows_of_records(records, columns)


def _batches(media_type: str, chunks: Iterator[Chunk], columns: list[Column]) -> Iterator[Batch]:
    done = 0
    for chunk in chunks:
        batch = batch_of(chunk, media_type, None, columns)
        batch.positions = [done + place for place in batch.positions]
        batch.refused = [
            Refused(done + row.position, row.content, row.errors) for row in batch.refused
        ]
        yield batch
        done += len(chunk.records)
