"""Loading an uploaded file: chunk by chunk, each in one transaction with the place where the next one begins.

So whatever kills the worker, at whatever moment: what is stored and where to go on agree. A file that is to
be refused whole where a row does not fit is one transaction instead. Before the first chunk the whole file is
read once for its digest, by which a second upload of it is known.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from datapunk.context import (
    WorkContext,
    continue_correlation,
    continue_trace,
    current,
    remaining_seconds,
    working,
)
from datapunk.database import Transaction, transaction
from datapunk.errors import (
    ConflictError,
    DatapunkError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    PausedError,
)
from datapunk.lake import uploads
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.ingest import allowed_rows, copy_rows, receipt_of
from datapunk.lake.parsing import Parsed, Rows, invalid
from datapunk.lake.reading_ahead import Fitted, Read, Reader
from datapunk.lake.receipts import OnError
from datapunk.lake.sifting import Refused, Sifted
from datapunk.lake.splitting import Layout
from datapunk.lake.staging import OnConflict, Outcome, Stage
from datapunk.lake.uploads import Held, NotHeldError, Progress
from datapunk.outbox import relay_now
from datapunk.storage.reading import PART_BYTES, Found, ObjectFile, look_up, remove
from datapunk.telemetry import logger

MOST_REFUSED = 100_000
"""Rows of one file that are kept aside; of one with more, the file is what is wrong."""
ENOUGH_SECONDS = 25.0
"""With less time left no chunk is begun; the next worker has all of its own."""
_TELL_SECONDS = 15.0
_RELAY_SECONDS = 1.0
"""Events of chunks go out so often; what a killed worker leaves is for the outbox's schedule."""


@dataclass(slots=True)
class _Place:
    """How far a worker is in a file: what has been stored of it."""

    layout: Layout | None
    position: int
    rows_read: int
    refused: int


def load(job: UUID) -> str:
    """Load a job's file as far as the time allows, and return what became of it.

    Raises errors that are `retryable`, after letting the next worker go on.
    """
    held = uploads.claim(job)
    if held is None:
        return "not_mine"
    with working(_in_name_of(held)) as work:
        try:
            uploads.require_attempts(held)
            return _load(held)
        except NotHeldError:
            return "not_mine"
        except PausedError:
            uploads.release(held, waiting=True)
            return "paused"
        except DatapunkError as error:
            if error.retryable:
                uploads.release(held)
                raise
            logger().warning("upload failed", extra={"job": str(job), "code": error.code})
            uploads.fail(held, error, work.trace.trace_id)
            return "failed"
        except Exception:
            uploads.release(held)
            raise


def _in_name_of(job: Held) -> WorkContext:
    own = current()
    work = own or WorkContext(
        operation=uploads.WORKER,
        correlation_id=continue_correlation(None),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 3600,
    )
    return replace(work, caller=job.caller)


def _load(job: Held) -> str:
    allowed_rows(job.dataset)
    found = look_up(job.key, job.object_version)
    if found is None:
        if job.object_version is not None or job.expired:
            raise NotFoundError("No file was uploaded while the link was good, or it is gone.")
        uploads.release(job, waiting=True)
        return "waiting"
    uploads.renew(job, found)
    if job.digest is None:
        digest = _digest(job, found)
        if job.announced not in (None, digest):
            raise InvalidInputError(
                "The file that was uploaded is another than was announced: its SHA-256 differs.",
                errors=[FieldError("sha256", "is not that of the file", "digest")],
            )
        if uploads.settle(job, digest) is not None:
            remove(found)
            return "same"
    outcome = (_whole if job.on_error is OnError.REJECT else _chunks)(job, found)
    if outcome == "done":
        remove(found)
    return outcome


def _digest(job: Held, found: Found) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest, told = hashlib.sha256(), time.monotonic()
    file, buffer = ObjectFile(found), bytearray(PART_BYTES)
    while size := file.readinto(buffer):
        digest.update(memoryview(buffer)[:size])
        if time.monotonic() - told > _TELL_SECONDS:
            uploads.renew(job, found)
            told = time.monotonic()
    return digest.hexdigest()


def _chunks(job: Held, found: Found) -> str:
    """Store chunk after chunk from where the last one ended."""
    place = _Place(job.layout, job.position, job.rows_read, job.quarantined)
    reader, ended, relayed = _reader(job, found, place), False, time.monotonic()
    while not ended:
        if remaining_seconds() < ENOUGH_SECONDS:
            uploads.release(job)
            uploads.start(job.id)
            return "continued"
        allowed_rows(job.dataset)
        read = reader.read()
        _store(job, place, found, reader, read)
        ended = read.chunk.ended
        if ended or time.monotonic() - relayed > _RELAY_SECONDS:
            relay_now()
            relayed = time.monotonic()
    return "done"


def _whole(job: Held, found: Found) -> str:
    """Store all rows of a file in one transaction, or none.

    Nothing of it is there until the end, so the next worker begins at the first row again. Raises
    InvalidInputError for rows that do not fit, and for a file that takes longer than a worker has.
    """
    place, total, told = _Place(None, 0, 0, 0), Outcome(), time.monotonic()
    reader = _reader(job, found, place)
    with transaction() as tx:
        dataset = _dataset(tx, job, hold=True)
        ended = False
        while not ended:
            allowed_rows(job.dataset)
            if remaining_seconds() < ENOUGH_SECONDS:
                raise InvalidInputError(
                    "The file takes longer than one transaction may: nothing of it is stored. Send it in "
                    'parts, or with "on_error": "quarantine".',
                    errors=[FieldError("file", "takes too long for all or nothing", "too_large")],
                )
            read = reader.read()
            outcome = _sifted(tx, dataset, job, place, reader, read)
            if outcome.refused:
                raise invalid(_errors(outcome.refused))
            total.inserted += outcome.inserted
            total.updated += outcome.updated
            total.skipped += outcome.skipped
            place.rows_read += read.chunk.count
            if time.monotonic() - told > _TELL_SECONDS:
                uploads.tell(job, read.bytes_done)
                told = time.monotonic()
            ended = read.chunk.ended
        uploads.hold(tx, job)
        receipt = receipt_of(tx, dataset, total, job.on_conflict)
        done = Progress(receipt, place.rows_read, read.chunk.position, found.size, ended=True)
        uploads.advance(tx, job, place.layout, done)
    relay_now()
    return "done"


def _errors(refused: list[Refused]) -> Iterator[FieldError]:
    """Yield what is wrong with rows; they are counted from 0 in the field, as in the answer to a request."""
    for row in refused:
        for error in row.errors:
            field = f"records.{row.position - 1}.{error.field}"
            yield FieldError(field, error.message, error.code)


def _reader(job: Held, found: Found, place: _Place) -> Reader:
    with transaction() as tx:
        columns = list(_dataset(tx, job, hold=False).columns)
    reader = Reader(job, found, columns, place.layout, place.position)
    place.layout = reader.layout
    return reader


def _store(job: Held, place: _Place, found: Found, reader: Reader, read: Read) -> None:
    """Store the rows of a chunk, and with them where the next one begins. Raises NotHeldError."""
    chunk = read.chunk
    with transaction() as tx:
        uploads.hold(tx, job)
        dataset = _dataset(tx, job, hold=True)
        outcome = Outcome()
        if chunk.count:
            outcome = _sifted(tx, dataset, job, place, reader, read)
        place.rows_read += chunk.count
        place.refused += len(outcome.refused)
        if place.refused > MOST_REFUSED:
            raise InvalidInputError(
                f"More than {MOST_REFUSED:,} rows do not fit the dataset: the file is not gone on with.",
                errors=[FieldError("file", "has too many rows that do not fit", "too_many")],
            )
        receipt = receipt_of(tx, dataset, outcome, job.on_conflict, job.media_type, job.id)
        bytes_done = found.size if chunk.ended else read.bytes_done
        done = Progress(receipt, chunk.count, chunk.position, bytes_done, chunk.ended)
        uploads.advance(tx, job, place.layout, done)


def _sifted(
    tx: Transaction, dataset: Dataset, job: Held, place: _Place, reader: Reader, read: Read
) -> Outcome:
    rows = reader.rows_for(read, list(dataset.columns))
    columns, batch = rows.columns, rows.batch
    outcome = _copied(tx, dataset, job, rows, reader)
    if outcome is None:
        stage = Stage(tx, dataset, columns, job.on_conflict, most_refused=MOST_REFUSED)
        outcome = stage.sift(Sifted(columns, iter([batch])), read.chunk.count)
        stage.close()
    outcome.refused = [
        replace(row, position=row.position + place.rows_read) for row in outcome.refused
    ]
    return outcome


def _copied(
    tx: Transaction, dataset: Dataset, job: Held, rows: Fitted, reader: Reader
) -> Outcome | None:
    """Copy the rows that fit their columns straight into the table; None where it refuses any of them.

    So it is with most chunks, and several times as fast as looking for those that it refuses. A data key
    that is made on the way must stay, which it would not: rows that are encrypted go the long way.
    """
    merged = job.on_conflict is not OnConflict.ERROR
    if merged or any(column.encrypted for column in rows.columns):
        return None
    batch = rows.batch
    lines = Rows(len(batch.lines), "\n".join([*batch.lines, ""]))
    parsed = Parsed(rows.columns, iter([lines]))
    try:
        with tx.savepoint():
            inserted = copy_rows(tx, dataset, parsed, lines.count, meanwhile=reader.read_ahead)
    except (InvalidInputError, ConflictError):
        return None
    return Outcome(inserted=inserted, refused=sorted(batch.refused, key=lambda row: row.position))


def _dataset(tx: Transaction, job: Held, *, hold: bool) -> Dataset:
    """Return the dataset the file is for, not another that has got its name since."""
    dataset = find_dataset(tx, job.dataset, hold=hold)
    if dataset.id != job.dataset_id:
        raise NotFoundError(
            f"{job.dataset} is another dataset than the one the file was meant for."
        )
    return dataset
