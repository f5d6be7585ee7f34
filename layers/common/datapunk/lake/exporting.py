"""Queries written to files in storage, whatever their size, and a link to read each at.

A file outlives the request that made it, so encrypted values stay encrypted in it, whoever asks: as
hexadecimal digits of what the table holds. Everything else is what the caller would be shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from datapunk import audit
from datapunk.context import remaining_seconds
from datapunk.database import Transaction
from datapunk.errors import DeadlineExceededError, FieldError, InvalidInputError
from datapunk.events import CloudEvent
from datapunk.lake.datasets import Dataset
from datapunk.lake.export_request import Export, Exported, Format
from datapunk.lake.filters import CONTROLS, Query, read_query
from datapunk.lake.parsing import CSV, NDJSON, PARQUET
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.query import compile_whole, csv_lines, header_of, json_lines
from datapunk.lake.telling import SOURCE
from datapunk.outbox import emit
from datapunk.storage.writing import Upload, link_to, uploading

ACTION = "lake.export_records"
RECORDS_EXPORTED = "lake.records.exported"
ARROW = "application/vnd.apache.arrow.file"
LINK_SECONDS = 900
PREFIX = "exports"
"""Where files are in the bucket: the template gives the right to it, and has what is there expire."""
_CHUNK = 1024 * 1024
"""Bytes of text that are made at a time, about."""
_FIRST_ROWS = 10
_MOST_ROWS = 5_000
_GROWTH = 4
"""How many times as many rows may be asked for as before: the first may be small and the others not."""
_RESERVE = 2.0
"""Seconds left for the last part, the event and the record."""


Add = Callable[[Sequence[Any]], int]
"""Writes rows as the statement answers them, and returns how much text they were."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How a format is written: its media type, whether of texts, what opens a file of it to add rows to."""

    media_type: str
    as_texts: bool
    opened: Callable[[Upload, Query, Disclosure], AbstractContextManager[Add]]


@contextmanager
def _csv(upload: Upload, query: Query, disclosure: Disclosure) -> Iterator[Add]:
    upload.write(csv_lines([header_of(query)]).encode())
    yield lambda rows: _written(upload, csv_lines(disclosure.reveal_fields(rows)))


@contextmanager
def _ndjson(upload: Upload, _: Query, disclosure: Disclosure) -> Iterator[Add]:
    yield lambda rows: _written(upload, json_lines(disclosure.reveal(rows)))


def _written(upload: Upload, text: str) -> int:
    content = text.encode()
    upload.write(content)
    return len(content)


@contextmanager
def _table(form: str, upload: Upload, query: Query, disclosure: Disclosure) -> Iterator[Add]:
    from datapunk.lake.binary.writing import TableFormat, typed, writing

    columns = [typed(output) for output in query.outputs]
    with writing(TableFormat(form), upload.write, columns) as add:
        yield lambda rows: add(disclosure.reveal_fields(rows))


_FORMS = {
    Format.CSV: _Form(f"{CSV}; charset=utf-8", as_texts=True, opened=_csv),
    Format.NDJSON: _Form(NDJSON, as_texts=False, opened=_ndjson),
    Format.PARQUET: _Form(PARQUET, as_texts=True, opened=partial(_table, "parquet")),
    Format.ARROW: _Form(ARROW, as_texts=True, opened=partial(_table, "arrow")),
}


def export_records(tx: Transaction, dataset: Dataset, wanted: Export) -> Exported:
    """Write what a query finds to a file in storage, and tell of it; the file is there when this returns.

    All rows are of one moment. Raises InvalidInputError for what the dataset does not have or the caller may
    not ask, DeadlineExceededError when the rows are too many for the time, UnavailableError when the database
    or S3 does not answer; then there is no file. When the transaction cannot commit afterwards a file is left
    that nobody has a link to, until it expires.
    """
    query = _query(dataset, wanted)
    form = _FORMS[wanted.format]
    key = f"{PREFIX}/{tx.caller.tenant}/{dataset.name}/{uuid.uuid4()}.{wanted.format}"
    disclosure = Disclosure(tx, sealed=True)
    statement, parameters = compile_whole(
        dataset, query, disclosure=disclosure, as_texts=form.as_texts, most=wanted.limit
    )
    name = f"{dataset.name}.{wanted.format}"
    with uploading(key, form.media_type, file_name=name) as upload:
        with (
            form.opened(upload, query, disclosure) as add,
            tx.reading(statement, parameters) as cursor,
        ):
            rows = _write(cursor, add)
        _tell(tx, dataset, wanted, rows, upload)
    return Exported(
        dataset=dataset.name,
        format=wanted.format,
        version=dataset.version,
        rows=rows,
        bytes=upload.size,
        sha256=upload.sha256,
        url=link_to(key, seconds=LINK_SECONDS),
        expires_at=datetime.now(UTC) + timedelta(seconds=LINK_SECONDS),
    )


def _query(dataset: Dataset, wanted: Export) -> Query:
    parameters: dict[str, Sequence[str]] = {
        name: [value] if isinstance(value, str) else value for name, value in wanted.filters.items()
    }
    for name in parameters:
        if name in CONTROLS:
            raise InvalidInputError(
                f"Not valid: {name} is not a column of the dataset.",
                errors=[FieldError(name, "is not a column of the dataset", "unknown_column")],
            )
    for name, words in (("select", wanted.select), ("order", wanted.order)):
        if words is not None:
            parameters[name] = [words]
    return read_query(parameters, dataset, page_limit=1)


def _write(cursor: Any, add: Add) -> int:
    """Write all rows and return how many they are, as many at a time as make a chunk by those before."""
    total, ask = 0, _FIRST_ROWS
    while rows := cursor.fetchmany(ask):
        size = add([document for (document,) in rows])
        total += len(rows)
        ask = max(1, min(_MOST_ROWS, ask * _GROWTH, len(rows) * _CHUNK // max(1, size)))
        if remaining_seconds() < _RESERVE:
            raise DeadlineExceededError(
                f"After {total:,} rows the time was over: export fewer at once, by filters or a limit."
            )
    return total


def _tell(tx: Transaction, dataset: Dataset, wanted: Export, rows: int, upload: Upload) -> None:
    emit(
        tx,
        CloudEvent(
            source=SOURCE,
            type=RECORDS_EXPORTED,
            subject=dataset.name,
            datacontenttype="application/json",
            data={
                "dataset": dataset.name,
                "version": dataset.version,
                "format": wanted.format,
                "count": rows,
                "bytes": upload.size,
                "sha256": upload.sha256,
            },
        ),
    )
    audit.record(
        tx,
        ACTION,
        f"dataset/{dataset.name}",
        detail={
            "format": wanted.format,
            "rows": rows,
            "bytes": upload.size,
            "sha256": upload.sha256,
            "object": upload.key,
        },
    )
