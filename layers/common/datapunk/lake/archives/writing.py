"""Rows of a month written to storage as the table has them: encrypted cells stay the cells they are.

Blind indexes are left out: by one, a guess at a value of somebody who was erased could be confirmed. They are
made anew when rows come back.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import orjson
from psycopg import sql

from datapunk.context import remaining_seconds
from datapunk.database import Transaction
from datapunk.errors import DamagedArchiveError, DeadlineExceededError
from datapunk.lake.archives.catalogue import ArchivedColumn, Part, object_key
from datapunk.lake.binary.writing import TableFormat, Texts, Typed, writing
from datapunk.lake.columns import ColumnType
from datapunk.lake.datasets import ROW_ID, Dataset
from datapunk.lake.parsing import JSON, PARQUET
from datapunk.lake.partitions import SCHEMA, partition_name
from datapunk.lake.privacy.cells import searchable
from datapunk.storage.reading import PART_BYTES, ObjectFile, look_up
from datapunk.storage.writing import uploading

PART_ROWS = 250_000
"""Of one archive, which is restored within a request; a month that has more rows is several archives.

Each searchable column costs a restoration as much as all else does, so there are as many fewer rows.
"""
PART_CHARACTERS = 256 * 1024 * 1024
"""Of the values of one archive, as texts; the same for wide rows."""
MARK: LiteralString = "hashtextextended(ctid::text || ' ' || xmin::text, 0)"
"""What tells one state of a row from every other: where it stands, and which transaction put it there."""
COPY_SECONDS = 600.0
"""How long one month may be copied: one that is too large for it stays, and takes no other's time."""
_CHUNK = 1024 * 1024
_FIRST_ROWS, _MOST_ROWS, _GROWTH = 100, 5_000, 4
_RESERVE = 15.0
"""Seconds that are kept for checking what was written and for dropping the partition."""


@dataclass(frozen=True, slots=True)
class Written:
    """An archive that is in storage, and was read back."""

    id: UUID
    rows: int
    bytes: int
    sha256: str
    first_event: datetime
    last_event: datetime


@dataclass(frozen=True, slots=True)
class Copied:
    """A partition as it was when it was copied: its archives, its rows and the sum of their marks."""

    parts: list[Written]
    rows: int
    marks: int


def partition_of(dataset: Dataset, month: date) -> sql.Identifier:
    """Return the partition of a month."""
    return sql.Identifier(SCHEMA, partition_name(dataset.table_name, month))


def archived_columns(dataset: Dataset) -> list[ArchivedColumn]:
    """Return the columns that an archive of the dataset has."""
    own = [] if dataset.key else [ArchivedColumn(name=ROW_ID, type=ColumnType.INTEGER)]
    return own + [
        ArchivedColumn(
            name=column.name,
            type=column.type,
            encrypted=column.encrypted,
            dimension=column.vector.dimension if column.vector else 0,
        )
        for column in dataset.columns
    ]


def copy_month(
    tx: Transaction, dataset: Dataset, month: date, begin: Callable[[UUID], None]
) -> Copied:
    """Write the rows of a month's partition to storage, as one statement sees them, and read them back.

    `begin` notes each archive before there is an object of it. To be called as the owner of the table. Raises
    DeadlineExceededError when the time is over, UnavailableError, DamagedArchiveError when what storage has
    is not what was written.
    """
    columns = archived_columns(dataset)
    statement = sql.SQL("SELECT {}, ARRAY[{}] FROM ONLY {}").format(
        sql.SQL(MARK),
        sql.SQL(", ").join(_text(column) for column in columns),
        partition_of(dataset, month),
    )
    place = [column.name for column in columns].index(str(dataset.event_time))
    parts: list[Written] = []
    with tx.reading(statement) as cursor:
        reader = _Reader(cursor, place)
        while reader.more():
            archive = uuid4()
            begin(archive)
            parts.append(_write(tx, dataset, month, archive, columns, reader))
    for part in parts:
        _check(object_key(tx.caller.tenant, dataset.name, month, part.id, Part.ROWS), part)
    return Copied(parts, reader.rows, reader.marks)


def fingerprint(tx: Transaction, dataset: Dataset, month: date) -> tuple[int, int]:
    """Return the number of rows of a month's partition, and the sum of their marks, as they are now."""
    question = sql.SQL(
        "SELECT count(*) AS rows, coalesce(sum({}), 0) AS marks FROM ONLY {}"
    ).format(sql.SQL(MARK), partition_of(dataset, month))
    found = tx.one(question) or {}
    return int(found["rows"]), int(found["marks"])


def object_digest(key: str) -> tuple[str, int]:
    """Return the SHA-256 and the size of an object, read as a whole. Raises as `opened` does."""
    digest, size = hashlib.sha256(), 0
    with closing(opened(key)) as file:
        while content := file.read(PART_BYTES):
            digest.update(content)
            size += len(content)
    return digest.hexdigest(), size


def opened(key: str) -> ObjectFile:
    """Return an object as a file. Raises DamagedArchiveError where there is none, UnavailableError."""
    found = look_up(key)
    if found is None:
        raise DamagedArchiveError
    return ObjectFile(found)


class _Reader:
    """Rows of a cursor, some at a time: as many as make a chunk, by those before."""

    def __init__(self, cursor: Any, event_time: int) -> None:
        self._cursor = cursor
        self._event_time = event_time
        self._ask = _FIRST_ROWS
        self._until = time.monotonic() + COPY_SECONDS
        self._next: list[tuple[int, list[str | None]]] = cursor.fetchmany(self._ask)
        self.rows = self.marks = 0
        self.first = self.last = ""

    def more(self) -> bool:
        return bool(self._next)

    def begin(self) -> None:
        """Forget the first and last time: another archive begins."""
        self.first = self.last = ""

    def batches(self) -> Iterator[Texts]:
        """Yield rows; their number, marks and times are added to the reader's."""
        while self._next:
            if remaining_seconds() < _RESERVE or time.monotonic() > self._until:
                raise DeadlineExceededError(
                    f"After {self.rows:,} rows the time for archiving the month was over."
                )
            texts = [row for _, row in self._next]
            self.rows += len(texts)
            self.marks += sum(mark for mark, _ in self._next)
            # Of one month and one time zone, texts are in the order of the times.
            times = [str(row[self._event_time]) for row in texts]
            self.first = min([*times, self.first] if self.first else times)
            self.last = max(self.last, *times)
            size = sum(len(text) for row in texts for text in row if text)
            self._ask = max(
                1, min(_MOST_ROWS, self._ask * _GROWTH, len(texts) * _CHUNK // max(1, size))
            )
            self._next = self._cursor.fetchmany(self._ask)
            yield texts


def _write(
    tx: Transaction,
    dataset: Dataset,
    month: date,
    archive: UUID,
    columns: Sequence[ArchivedColumn],
    reader: _Reader,
) -> Written:
    key = object_key(tx.caller.tenant, dataset.name, month, archive, Part.ROWS)
    before, characters = reader.rows, 0
    most = max(1, PART_ROWS // (1 + len(searchable(dataset))))
    name = f"{dataset.name}-{month:%Y-%m}.parquet"
    typed = [
        Typed(item.name, ColumnType.TEXT if item.encrypted else item.type, item.dimension)
        for item in columns
    ]
    reader.begin()
    with (
        uploading(key, PARQUET, file_name=name) as upload,
        writing(TableFormat.PARQUET, upload.write, typed) as add,
    ):
        for texts in reader.batches():
            characters += add(texts)
            if reader.rows - before >= most or characters >= PART_CHARACTERS:
                break
    first, last = (_time(text) for text in (reader.first, reader.last))
    written = Written(archive, reader.rows - before, upload.size, upload.sha256, first, last)
    _write_manifest(tx, dataset, month, columns, written)
    return written


def _write_manifest(
    tx: Transaction,
    dataset: Dataset,
    month: date,
    columns: Sequence[ArchivedColumn],
    written: Written,
) -> None:
    document = {
        "archive": written.id,
        "dataset": dataset.name,
        "version": dataset.version,
        "month": f"{month:%Y-%m}",
        "columns": [column.model_dump(mode="json") for column in columns],
        "rows": written.rows,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "first_event": written.first_event,
        "last_event": written.last_event,
    }
    key = object_key(tx.caller.tenant, dataset.name, month, written.id, Part.MANIFEST)
    with uploading(key, JSON, file_name=f"{dataset.name}-{month:%Y-%m}.json") as upload:
        upload.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _check(key: str, written: Written) -> None:
    """Read an archive back. Raises DamagedArchiveError where it is not what was written."""
    import pyarrow.parquet as pq

    if object_digest(key) != (written.sha256, written.bytes):
        raise DamagedArchiveError
    with closing(opened(key)) as file:
        if pq.read_metadata(file).num_rows != written.rows:
            raise DamagedArchiveError


def _text(column: ArchivedColumn) -> sql.Composed:
    form: LiteralString = "encode({}, 'hex')" if column.encrypted else "{}::text"
    return sql.SQL(form).format(sql.Identifier(column.name))


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
