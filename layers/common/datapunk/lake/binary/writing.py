"""Rows of texts written as Parquet or as an Arrow IPC file, with types, a group of rows at a time.

Texts are PostgreSQL's, which lose nothing. Decimals stay texts: a column has no bound to their digits, a
decimal of either format has 38 and one scale for all rows, which are not known before the last row is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from datapunk.lake.casts import CASTS
from datapunk.lake.columns import ColumnType
from datapunk.lake.operators import aggregate_kind
from datapunk.lake.plan import Output

GROUP_BYTES = 8 * 1024 * 1024
"""Of the texts that make a row group of Parquet: what is held at once."""
_COMPRESSION = "zstd"
Texts = Sequence[Sequence[str | None]]


class TableFormat(StrEnum):
    """How a table is written."""

    PARQUET = "parquet"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class Typed:
    """A column of a table: its name, what its texts are, and for vectors how long they are."""

    name: str
    kind: ColumnType
    dimension: int = 0


def typed(output: Output) -> Typed:
    """Return the type of a result column. Encrypted ones are texts, whoever asks and sees how much."""
    field = output.field
    kind = field.kind if field else ColumnType.INTEGER
    if output.aggregate:
        kind = aggregate_kind(output.aggregate, field.kind if field else None)
    if output.cast:
        kind = CASTS[output.cast][1]
    plain = field is not None and not output.aggregate and not field.path and not field.cast
    if field is None or not plain:
        return Typed(output.name, ColumnType.JSON if kind is ColumnType.VECTOR else kind)
    if field.column.encrypted:
        return Typed(output.name, ColumnType.TEXT)
    vector = field.column.vector
    return Typed(output.name, kind, vector.dimension if vector else 0)


@contextmanager
def writing(
    form: TableFormat, write: Callable[[bytes], None], columns: Sequence[Typed]
) -> Iterator[Callable[[Texts], int]]:
    """Open a table that rows are added to: whole when the body ends; nothing more is written when it raises.

    Adding rows returns how many characters they were.
    """
    import pyarrow as pa

    sink = _Sink(write)
    schema = pa.schema([(column.name, _type(column)) for column in columns])
    table = (_Parquet if form is TableFormat.PARQUET else _Arrow)(pa.PythonFile(sink, "w"), schema)

    def add(rows: Texts) -> int:
        arrays = [
            _array(column, kind, texts)
            for column, kind, texts in zip(
                columns, schema.types, _turned(rows, len(columns)), strict=True
            )
        ]
        size = sum(len(text) for row in rows for text in row if text)
        table.add(pa.record_batch(arrays, schema=schema), size)
        return size

    try:
        yield add
        table.close()
    finally:
        sink.ended = True


class _Sink(io.RawIOBase):
    """What the library writes to. It goes on writing when it is cleaned up, which nobody is to see."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write
        self._size = 0
        self.ended = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, content: Any) -> int:
        content = bytes(content)
        if not self.ended:
            self._write(content)
        self._size += len(content)
        return len(content)


class _Parquet:
    def __init__(self, sink: Any, schema: Any) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._writer = pq.ParquetWriter(sink, schema, compression=_COMPRESSION)
        self._held: list[Any] = []
        self._size = 0

    def add(self, batch: Any, size: int) -> None:
        self._held.append(batch)
        self._size += size
        if self._size >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        if self._held:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._held, self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._held, self._size = [], 0


class _Arrow:
    """Not compressed: not every reader of the format can unpack it."""

    def __init__(self, sink: Any, schema: Any) -> None:
        import pyarrow as pa

        self._writer = pa.ipc.new_file(sink, schema)

    def add(self, batch: Any, _: int) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


def _turned(rows: Texts, width: int) -> list[Sequence[str | None]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _type(column: Typed) -> Any:
    import pyarrow as pa

    if column.kind is ColumnType.VECTOR:
        return pa.list_(pa.float32(), column.dimension)
    made = {
        ColumnType.INTEGER: pa.int64,
        ColumnType.NUMBER: pa.float64,
        ColumnType.BOOLEAN: pa.bool_,
        ColumnType.DATE: pa.date32,
        ColumnType.TIMESTAMP: lambda: pa.timestamp("us", tz="UTC"),
        ColumnType.UUID: pa.uuid,
    }
    return made.get(column.kind, pa.string)()


def _array(column: Typed, kind: Any, texts: Sequence[str | None]) -> Any:
    import pyarrow as pa

    read = _READERS.get(column.kind)
    values = [None if text is None else read(text) for text in texts] if read else list(texts)
    if column.kind is ColumnType.UUID:
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


_READERS: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.INTEGER: int,
    ColumnType.NUMBER: float,
    ColumnType.BOOLEAN: lambda text: text == "true",
    ColumnType.DATE: date.fromisoformat,
    ColumnType.TIMESTAMP: datetime.fromisoformat,
    ColumnType.UUID: lambda text: UUID(text).bytes,
    ColumnType.VECTOR: json.loads,
}
"""What is not in these stays a text."""
