"""An uploaded file read chunk by chunk, the next one while the database takes the last.

Reading is work of this process and copying mostly the database's, so that together they take little longer
than the longer of them. It needs no thread: what was sent to a COPY is on its way, and nobody waits for the
outcome before the next chunk was read. Rows are validated for the columns there were when they were read;
where those have changed before they are stored, they are validated anew.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
class Fitted:
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
    rows: Fitted | None


class Reader:
    """Reads a job's file from a place on.

    Raises MalformedRequestError for a file of CSV that has no header, and what reading the file raises.
    """

    def __init__(
        self, job: Held, found: Found, columns: list[Column], layout: Layout | None, position: int
    ) -> None:
        self.layout = layout
        self._media_type = job.media_type
        self._columns = columns
        self._chunks, self._bytes_done = self._begun(job, ObjectFile(found), position)
        self._ahead: Read | Exception | None = None
        self._ended = False

    def read(self) -> Read:
        """Return the next chunk of a file that has not ended."""
        found, self._ahead = self._ahead, None
        if found is None:
            return self._read()
        if isinstance(found, Exception):
            raise found
        return found

    def read_ahead(self) -> None:
        """Have the next chunk ready, if there is one, for `read`, which raises what goes wrong here."""
        if self._ahead is not None or self._ended:
            return
        try:
            self._ahead = self._read()
        except Exception as error:  # noqa: BLE001 -- it is raised, and only a chunk later
            self._ahead = error

    def rows_for(self, read: Read, columns: list[Column]) -> Fitted:
        """Return the rows of a chunk for the columns that the dataset has now, as the next ones will be.

        Raises InvalidInputError where the file does not fit them at all.
        """
        if read.rows is not None and read.columns == columns:
            return read.rows
        self._columns = columns
        return self._validated(read.chunk, columns)

    def _read(self) -> Read:
        chunk, columns = take(self._chunks), self._columns
        self._ended = chunk.ended
        try:
            rows = self._validated(chunk, columns)
        except InvalidInputError:
            rows = None
        return Read(chunk, self._bytes_done(), columns, rows)

    def _validated(self, chunk: Chunk, columns: list[Column]) -> Fitted:
        if self.layout is not None:
            columns = header_columns(self.layout.names, columns)
        return Fitted(columns, batch_of(chunk, self._media_type, self.layout, columns))

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
