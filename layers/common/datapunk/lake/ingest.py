"""Rows into a dataset: all of a request or nothing, by COPY, with the event that tells of it."""

from __future__ import annotations

from psycopg import sql
from pydantic import BaseModel

from datapunk.database import Transaction
from datapunk.database.failures import copy_position, violated_reference
from datapunk.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    PausedError,
    PayloadTooLargeError,
)
from datapunk.events import CloudEvent
from datapunk.flags import value
from datapunk.flags.catalogue import LAKE_INGEST, LAKE_ROWS_PER_INSERT
from datapunk.lake.datasets import OWNER_ROLE, Dataset
from datapunk.lake.parsing import Parsed
from datapunk.outbox import emit

RECORDS_INSERTED = "lake.records.inserted"
RECORDS_UPSERTED = "lake.records.upserted"
RECORDS_UPDATED = "lake.records.updated"
RECORDS_DELETED = "lake.records.deleted"
SOURCE = "/v1/lake/datasets"
MOST_BYTES = 32 * 1024 * 1024
"""Of a body that came compressed: what a function of 512 MB can read as JSON."""


class Receipt(BaseModel):
    """What became of the rows of one request, and the event that tells of them (none for no rows)."""

    dataset: str
    inserted: int
    event_id: str | None


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
    inserted = _copy(tx, dataset, parsed, most)
    if not inserted:
        return Receipt(dataset=dataset.name, inserted=0, event_id=None)
    event = tell(tx, dataset, RECORDS_INSERTED, inserted)
    return Receipt(dataset=dataset.name, inserted=inserted, event_id=event.id)


def tell(tx: Transaction, dataset: Dataset, kind: str, count: int) -> CloudEvent:
    """Emit the event that `count` rows of a dataset were changed in a way, and return it."""
    return emit(
        tx,
        CloudEvent(
            source=SOURCE,
            type=kind,
            subject=dataset.name,
            datacontenttype="application/json",
            data={"dataset": dataset.name, "count": count, "version": dataset.version},
        ),
    )


def _copy(tx: Transaction, dataset: Dataset, parsed: Parsed, most: int) -> int:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in parsed.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(dataset.table, names)
    rows = 0
    try:
        with tx.acting_as(OWNER_ROLE):
            with tx.copy(statement) as copy:
                for chunk in parsed.chunks:
                    rows += chunk.count
                    if rows > most:
                        raise PayloadTooLargeError(f"{most:,} rows may be inserted at once.")
                    copy.write(chunk.text)
            written = tx.copied
    except (InvalidInputError, ConflictError) as error:
        raise _unreferenced(error, dataset) or _located(error) from error
    if written != rows:
        raise InvalidInputError(
            "The database read another number of rows than the body has: nothing was stored."
        )
    return rows


def _unreferenced(
    error: InvalidInputError | ConflictError, dataset: Dataset
) -> InvalidInputError | None:
    """Return the error that names the reference which led nowhere, None where none did."""
    name = violated_reference(error)
    link = next((link for link in dataset.references if link.name == name), None)
    if name is None or link is None:
        return None
    message = f"a value names no row of {link.dataset}"
    return InvalidInputError(
        f"Not valid: {', '.join(link.columns)}: {message}.",
        errors=[FieldError(column, message, "reference") for column in link.columns],
    )


def _located(error: InvalidInputError | ConflictError) -> InvalidInputError | ConflictError:
    """Name row and column where the database stopped; other errors stay as they are."""
    position = copy_position(error.__cause__)
    if position is None:
        return error
    line, column = position
    field = f"records.{line - 1}" + (f".{column}" if column else "")
    message = error.errors[0].message if error.errors else "is refused"
    code = error.errors[0].code if error.errors else error.code
    return type(error)(
        f"Row {line} is refused: {message}.", errors=[FieldError(field, message, code)]
    )
