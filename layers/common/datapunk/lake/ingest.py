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
from datapunk.flags import value
from datapunk.flags.catalogue import LAKE_INGEST, LAKE_ROWS_PER_INSERT
from datapunk.lake.datasets import OWNER_ROLE, Dataset
from datapunk.lake.parsing import Parsed
from datapunk.lake.privacy.protecting import protected_parts
from datapunk.lake.telling import RECORDS_INSERTED, tell


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


def _copy(tx: Transaction, dataset: Dataset, parsed: Parsed, most: int) -> int:
    rows = 0
    for part in protected_parts(tx, dataset, parsed):
        rows += _copy_part(tx, dataset, part, rows, most)
    return rows


def _copy_part(tx: Transaction, dataset: Dataset, parsed: Parsed, before: int, most: int) -> int:
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
    name = violated_reference(error)
    link = next((link for link in dataset.references if link.name == name), None)
    if name is None or link is None:
        return None
    message = f"a value names no row of {link.dataset}"
    return InvalidInputError(
        f"Not valid: {', '.join(link.columns)}: {message}.",
        errors=[FieldError(column, message, "reference") for column in link.columns],
    )


def _located(
    error: InvalidInputError | ConflictError, before: int
) -> InvalidInputError | ConflictError:
    """Name row and column where the database stopped; other errors stay as they are."""
    position = copy_position(error.__cause__)
    if position is None:
        return error
    line, column = before + position[0], position[1]
    field = f"records.{line - 1}" + (f".{column}" if column else "")
    message = error.errors[0].message if error.errors else "is refused"
    code = error.errors[0].code if error.errors else error.code
    return type(error)(
        f"Row {line} is refused: {message}.", errors=[FieldError(field, message, code)]
    )
