"""An uploaded file read chunk by chunk, the next one while the last is stored.

Reading is work of this process and storing mostly the database's, so that together they take little longer
than the longer of them. Rows are validated for the columns there were when they were read; where those have
changed before they are stored, they are validated anew.
"""

from __future__ import annotations

import contextvars
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from datapunk.encodings import unpacking
from datapunk.errors import InvalidInputError
from datapunk.lake.columns import Column
from datapunk.lake.parsing import CSV, FILES, header_columns
from datapunk.lake.sifting import Batch
from datapunk.lake.splitting import (
    Chunk,
    Layout,
    Lines,
    batch_of,
    chunks_of,
    chunks_of_records,
    layout_of,
    take,
)
from datapunk.lake.uploads import Held
from datapunk.storage.reading import PART_BYTES, Found, ObjectFile


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a chunk, validated for the columns that they fill, in their order."""

    columns: list[Column]
    batch: Batch


@dataclass(frozen=True, slots=True)
class Read:
    """A chunk, how many bytes of the file were read by then, and its rows for columns of the dataset.

    There are no rows where the file does not fit those columns at all.
    """

    chunk: Chunk
    bytes_done: int
    columns: list[Column]
    rows: Rows | None


class Reader:
    """Reads a job's file from a place on, with a thread that a `with` statement begins and ends.

    Raises MalformedRequestError for a file of CSV that has no header, and what reading the file raises.
    """

    def __init__(
        self, job: Held, found: Found, columns: list[Column], layout: Layout | None, position: int
    ) -> None:
        self.layout = layout
        self._media_type = job.media_type
        self._columns = columns
        self._chunks, self._bytes_done = self._begun(job, ObjectFile(found), position)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._next: Future[Read]

    def __enter__(self) -> Self:
        """Begin to read."""
        self._go_on()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being read: there is nobody who wants it."""
        self._thread.shutdown()

    def read(self) -> Read:
        """Return the next chunk of a file that has not ended, and begin to read the one behind it."""
        read = self._next.result()
        if not read.chunk.ended:
            self._go_on()
        return read

    def rows_for(self, read: Read, columns: list[Column]) -> Rows:
        """Return the rows of a chunk for the columns that the dataset has now, as the next ones will be.

        Raises InvalidInputError where the file does not fit them at all.
        """
        if read.rows is not None and read.columns == columns:
            return read.rows
        self._columns = columns
        return self._validated(read.chunk, columns)

    def _go_on(self) -> None:
        # The thread knows the request it works for, and with it until when.
        self._next = self._thread.submit(contextvars.copy_context().run, self._read)

    def _read(self) -> Read:
        chunk, columns = take(self._chunks), self._columns
        try:
            rows = self._validated(chunk, columns)
        except InvalidInputError:
            rows = None
        return Read(chunk, self._bytes_done(), columns, rows)

    def _validated(self, chunk: Chunk, columns: list[Column]) -> Rows:
        if self.layout is not None:
            columns = header_columns(self.layout.names, columns)
        return Rows(columns, batch_of(chunk, self._media_type, self.layout, columns))

    def _begun(
        self, job: Held, raw: ObjectFile, position: int
    ) -> tuple[Iterator[Chunk], Callable[[], int]]:
        """Return the chunks of the file from the place on, and what tells the bytes read."""
        if job.media_type in FILES:
            from datapunk.lake.binary.bodies import open_file

            file = open_file(job.media_type, raw, self._columns, position)
            return chunks_of_records(file.records(), file), file.bytes_done
        stream: io.BufferedReader = io.BufferedReader(raw, PART_BYTES)
        if job.encoding is not None:
            stream = unpacking(stream, job.encoding)
        if job.media_type == CSV and self.layout is None:
            self.layout, position = layout_of(stream, self._columns)
        lines = Lines(stream, position)
        chunks = chunks_of(lines, job.media_type, self.layout)
        return chunks, raw.tell if job.encoding else lambda: lines.position
