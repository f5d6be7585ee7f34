"""Rows into a dataset, with the event that tells of them: all of a request or nothing, by COPY.

Where the caller says so, rows that exist are merged, and rows that do not fit are put into quarantine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from datapunk.database import Transaction
from datapunk.database.failures import copy_position, violated_reference
from datapunk.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    PausedError,
    PayloadTooLargeError,
)
from datapunk.flags import value
from datapunk.flags.catalogue import LAKE_INGEST, LAKE_ROWS_PER_INSERT
from datapunk.lake.datasets import OWNER_ROLE, Dataset
from datapunk.lake.parsing import JSON, Parsed, parse_body
from datapunk.lake.privacy.protecting import protected_parts
from datapunk.lake.quarantine import keep
from datapunk.lake.receipts import OnError, Receipt
from datapunk.lake.sifting import sift_body
from datapunk.lake.staging import OnConflict, Outcome, Stage, explained
from datapunk.lake.telling import RECORDS_INSERTED, RECORDS_UPSERTED, tell

MOST_BYTES = 32 * 1024 * 1024
"""Of a body that came compressed: what a function of 512 MB can read as JSON."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """A body of rows, and what is wanted where they do not fit or exist."""

    media_type: str
    charset: str
    content: bytes
    on_error: OnError = OnError.REJECT
    on_conflict: OnConflict = OnConflict.ERROR

    @property
    def digest(self) -> bytes:
        """What two of the same have in common."""
        chosen = (self.media_type, self.charset, self.on_error, self.on_conflict)
        return "\n".join((*chosen, "")).encode() + self.content


def allowed_rows(dataset: str) -> int:
    """Return how many rows a request of the current caller may insert into the dataset.

    Raises PausedError while an operator has switched inserting off. Asked before the transaction, which
    should not wait for a store of flags.
    """
    if not value(LAKE_INGEST, dataset=dataset):
        raise PausedError("Inserting records is paused. Reading them is not.")
    return value(LAKE_ROWS_PER_INSERT, dataset=dataset)


def insert_records(tx: Transaction, dataset: Dataset, parsed: Parsed, *, most: int) -> Receipt:
    """Copy all rows, `most` at most, into the dataset's table and emit `lake.records.inserted`.

    Raises InvalidInputError naming row and column, ConflictError for a key that exists, or
    PayloadTooLargeError; the transaction must then be rolled back, so that nothing of the request remains.
    """
    inserted = copy_rows(tx, dataset, parsed, most)
    if not inserted:
        return Receipt(dataset=dataset.name, inserted=0, event_id=None)
    event = tell(tx, dataset, RECORDS_INSERTED, inserted)
    return Receipt(dataset=dataset.name, inserted=inserted, event_id=event.id)


def ingest_records(tx: Transaction, dataset: Dataset, body: Ingest, *, most: int) -> Receipt:
    """Store the rows of a body, `most` at most, as it says, and tell of them.

    Raises what `insert_records` does; rows that are put into quarantine are no error.
    """
    if body.on_error is OnError.QUARANTINE:
        sifted = sift_body(body.media_type, body.charset, body.content, dataset.columns)
        outcome = Stage(tx, dataset, sifted.columns, body.on_conflict).sift(sifted, most)
        return receipt_of(tx, dataset, outcome, body.on_conflict, body.media_type)
    parsed = parse_body(body.media_type, body.charset, body.content, dataset.columns)
    if body.on_conflict is OnConflict.ERROR:
        return insert_records(tx, dataset, parsed, most=most)
    stage = Stage(tx, dataset, parsed.columns, body.on_conflict)
    try:
        outcome = stage.merge(parsed, most)
    except (InvalidInputError, ConflictError) as error:
        raise _unreferenced(error, dataset) or _located(error, 0) from error
    return receipt_of(tx, dataset, outcome, body.on_conflict, body.media_type)


def receipt_of(
    tx: Transaction,
    dataset: Dataset,
    outcome: Outcome,
    on_conflict: OnConflict,
    media_type: str = JSON,
    batch: UUID | None = None,
) -> Receipt:
    """Tell of rows that were stored, keep those that were not (in the batch), and return the receipt."""
    kept = keep(tx, dataset, media_type, outcome.refused, batch) if outcome.refused else None
    stored = outcome.inserted + outcome.updated
    updating = on_conflict is OnConflict.UPDATE
    kind = RECORDS_UPSERTED if updating else RECORDS_INSERTED
    return Receipt(
        dataset=dataset.name,
        inserted=outcome.inserted,
        updated=outcome.updated,
        skipped=outcome.skipped,
        quarantined=len(outcome.refused),
        reasons=dict(Counter(row.rule for row in outcome.refused)),
        batch=kept,
        event_id=tell(tx, dataset, kind, stored).id if stored else None,
    )


def copy_rows(
    tx: Transaction,
    dataset: Dataset,
    parsed: Parsed,
    most: int,
    *,
    meanwhile: Callable[[], None] | None = None,
) -> int:
    """Copy all rows, `most` at most, into the dataset's table and return how many they were.

    `meanwhile` is called when rows are on their way, before the database is waited for. Raises what
    `insert_records` does; the transaction, or the savepoint around, must then be rolled back.
    """
    rows = 0
    for part in protected_parts(tx, dataset, parsed):
        rows += _copy_part(tx, dataset, part, rows, most, meanwhile)
    return rows


def _copy_part(
    tx: Transaction,
    dataset: Dataset,
    parsed: Parsed,
    before: int,
    most: int,
    meanwhile: Callable[[], None] | None,
) -> int:
    """Copy rows, which come behind those of `before`."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in parsed.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(dataset.table, names)
    rows = 0
    try:
        with tx.acting_as(OWNER_ROLE):
            with tx.copy(statement) as copy:
                for chunk in parsed.chunks:
                    rows += chunk.count
                    if before + rows > most:
                        raise PayloadTooLargeError(f"{most:,} rows may be inserted at once.")
                    copy.write(chunk.text)
                if meanwhile is not None:
                    copy.connection.pgconn.flush()  # the driver would keep some of it until the end
                    meanwhile()
            written = tx.copied
    except (InvalidInputError, ConflictError) as error:
        raise _unreferenced(error, dataset) or _located(error, before) from error
    if written != rows:
        raise InvalidInputError(
            "The database read another number of rows than the body has: nothing was stored."
        )
    return rows


def _unreferenced(
    error: InvalidInputError | ConflictError, dataset: Dataset
) -> InvalidInputError | None:
    """Return the error that names the reference which led nowhere, None where none did."""
    if violated_reference(error) is None:
        return None
    errors = explained(error, dataset)
    listed = ", ".join(item.field for item in errors)
    return InvalidInputError(f"Not valid: {listed}: {errors[0].message}.", errors=errors)


def _located(
    error: InvalidInputError | ConflictError, before: int
) -> InvalidInputError | ConflictError:
    """Name row and column where the database stopped; other errors stay as they are."""
    position = copy_position(error.__cause__)
    if position is None:
        return error
    line, column = before + position[0], position[1]
    if column is None and error.errors and error.errors[0].field != "(row)":
        column = error.errors[0].field
    field = f"records.{line - 1}" + (f".{column}" if column else "")
    message = error.errors[0].message if error.errors else "is refused"
    code = error.errors[0].code if error.errors else error.code
    return type(error)(
        f"Row {line} is refused: {message}.", errors=[FieldError(field, message, code)]
    )
