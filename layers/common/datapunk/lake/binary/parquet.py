"""Parquet files: rows of one row group after the other, a batch at a time.

What a file says of itself bounds it before it is read. It may lie; what is made of it is counted, too. It is
not asked what it says of a column of a row group: where that is damaged, pyarrow (26.0) ends the process.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from datapunk.errors import DatapunkError, MalformedRequestError, PayloadTooLargeError
from datapunk.lake.binary.rows import Rendering, Unreadable
from datapunk.lake.columns import Column
from datapunk.lake.parsing import header_columns
from datapunk.lake.splitting import Record

MOST_GROUP_BYTES = 1024 * 1024 * 1024
"""Of one row group, unpacked. It is read page by page, so memory is not that of a group."""
MOST_BATCH_BYTES = 64 * 1024 * 1024
"""Of some rows, as they are in memory: a few bytes of a file may say that there are a billion values."""
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_ROWS = 8_192
_NESTED_BATCH_ROWS = 1_024
_BUFFER_BYTES = 1024 * 1024
"""Bytes that are read ahead of each column."""


class ParquetFile:
    """A Parquet file of which rows are read from a place on: the number of rows before it.

    `source` is bytes or a file that can be read anywhere; `most` bounds the bytes it may unpack to. Raises
    MalformedRequestError for what is no Parquet, PayloadTooLargeError, and InvalidInputError where its
    columns do not fit those of the dataset, if there is one yet.
    """

    def __init__(
        self,
        source: Any,
        columns: Sequence[Column] | None,
        position: int = 0,
        *,
        most: int | None = None,
    ) -> None:
        self.position = position
        self._most = most
        with _reading():
            self._file, self._batch_rows = self._opened(source)
        self._rendering = Rendering(columns or ())
        schema = self._file.schema_arrow
        self.nullable = {field.name: field.nullable for field in schema}
        if columns is not None:
            header_columns(schema.names, columns)
        elif len(self.nullable) != len(schema.names):
            raise MalformedRequestError("Two columns of the Parquet file have one name.")
        self._groups = [
            self._file.metadata.row_group(index) for index in range(self._file.num_row_groups)
        ]
        self._require_bounded()

    def bytes_done(self) -> int:
        """Return how many bytes of the file have been read, as if all rows had the same size."""
        rows = self._file.metadata.num_rows
        return int(self._size * self.position // rows) if rows else self._size

    def records(self) -> Iterator[Record]:
        """Yield the rows from the place on, as JSON."""
        return map(self._rendering.record, self.rows())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows from the place on."""
        start, first = self.position, 0
        for index, group in enumerate(self._groups):
            last = first + group.num_rows
            if start < last:
                yield from self._group(index, max(0, start - first))
                if self.position != last:
                    raise MalformedRequestError(
                        "A row group of the file has other rows than it says."
                    )
            first = last

    def _group(self, index: int, skipped: int) -> Iterator[dict[str, Any]]:
        group = self._groups[index]
        # Of large rows fewer at a time, by what they are on the average.
        rows = _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)
        batches = self._file.iter_batches(
            batch_size=max(1, min(rows, self._batch_rows)), row_groups=[index], use_threads=False
        )
        while True:
            with _reading():
                batch = next(batches, None)
            if batch is None:
                return
            if skipped >= batch.num_rows:
                skipped -= batch.num_rows
                continue
            if batch.nbytes > MOST_BATCH_BYTES:
                raise PayloadTooLargeError(
                    f"{batch.num_rows:,} rows of the Parquet file have {batch.nbytes:,} bytes when they are "
                    f"unpacked, and {MOST_BATCH_BYTES:,} may be read at once."
                )
            part, skipped = batch.slice(skipped), 0
            with _reading():
                values = [_values(column) for column in part.columns]
            for row in zip(*values, strict=True):
                self.position += 1
                yield dict(zip(part.schema.names, row, strict=True))

    def _opened(self, source: Any) -> tuple[Any, int]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if isinstance(source, bytes):
            source = pa.BufferReader(source)
        schema = pq.ParquetFile(source).schema
        leaves = [schema.column(place) for place in range(len(schema.names))]
        # A text that stands in many rows is then one object, however many rows a few bytes say there are.
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        nested = any(leaf.max_repetition_level for leaf in leaves)
        self._size = source.seek(0, io.SEEK_END)
        source.seek(0)
        file = pq.ParquetFile(
            source,
            read_dictionary=texts,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            coerce_int96_timestamp_unit="us",
        )
        return file, _NESTED_BATCH_ROWS if nested else _BATCH_ROWS

    def _require_bounded(self) -> None:
        whole = 0
        for group in self._groups:
            whole += group.total_byte_size
            if group.total_byte_size > MOST_GROUP_BYTES:
                raise PayloadTooLargeError(
                    f"A row group of a Parquet file may have {MOST_GROUP_BYTES:,} bytes at most when it is "
                    "unpacked: write smaller ones."
                )
        if self._most is not None and whole > self._most:
            raise PayloadTooLargeError(
                f"A body may have {self._most:,} bytes at most when it is unpacked: upload larger files."
            )


def _values(column: Any) -> list[Any]:
    """Return a column's values as Python's, those that Python has none for as `Unreadable`."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        # Every batch has all texts of its page, of which its rows use some.
        indices = column.indices.to_pylist()
        used = sorted({index for index in indices if index is not None})
        texts = _values(column.dictionary.take(pa.array(used, pa.int64())))
        known = dict(zip(used, texts, strict=True))
        return [None if index is None else known[index] for index in indices]
    if pa.types.is_timestamp(column.type):
        return _moments(column)
    try:
        found: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    except Exception:  # noqa: BLE001 -- one value of many is not Python's: each is tried by itself
        return [_value(item) for item in column]
    return found


def _moments(column: Any) -> list[Any]:
    """Return moments to the microsecond, which is what PostgreSQL keeps; those with a zone in UTC.

    They are counted from 1970 in UTC whatever the zone is called, which not every machine knows.
    """
    scale, shrink = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}[
        column.type.unit
    ]
    beginning = datetime(1970, 1, 1, tzinfo=None if column.type.tz is None else UTC)
    found: list[Any] = []
    for number in column.view("int64").to_pylist():
        try:
            found.append(
                None
                if number is None
                else beginning + timedelta(microseconds=number * scale // shrink)
            )
        except OverflowError:
            found.append(Unreadable("a time before the year 1 or after 9999"))
    return found


def _value(item: Any) -> Any:
    try:
        return item.as_py(maps_as_pydicts="strict")
    except Exception as error:  # noqa: BLE001 -- whatever a conversion raises
        return Unreadable(str(error)[:200])


class _reading:  # noqa: N801 -- used like a function
    """Say of what cannot be read what the caller can understand."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate what the library raises for damaged files, which is many things; not our own errors."""
        if isinstance(error, MemoryError):
            raise PayloadTooLargeError(
                "The Parquet file unpacks to more than there is memory for."
            ) from error
        if isinstance(error, Exception) and not isinstance(error, DatapunkError):
            reason = str(error).partition("\n")[0][:200].rstrip(".")
            raise MalformedRequestError(f"The file cannot be read as Parquet: {reason}.") from error
