"""Which months of which datasets are in storage, under which names, and what of it nobody needs any more."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from datapunk.context import remaining_seconds
from datapunk.database import Queries, Row, Transaction, load_queries, transaction
from datapunk.errors import DatapunkError, FieldError, NotFoundError
from datapunk.identity import Caller
from datapunk.lake.columns import ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.storage.reading import look_up, remove
from datapunk.telemetry import logger

PREFIX = "archives"
"""Where the objects are in the bucket: the template gives the rights to it."""
DEAD_SECONDS = 3600
"""After how long an archive in the making has nobody who makes it: no function runs as long."""
_SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.archives"
_LAST = UUID(int=2**128 - 1)
_RESERVE = 3.0


class Part(StrEnum):
    """The objects of an archive, by how their names end."""

    ROWS = "parquet"
    MANIFEST = "json"


class ArchivedColumn(BaseModel):
    """A column of an archive's file."""

    name: str
    type: ColumnType
    encrypted: bool = False
    """Whether the file has hexadecimal digits of what the table held."""
    dimension: int = 0


class Archive(BaseModel):
    """Rows of one month, in storage. Large months are several archives."""

    id: UUID
    dataset: str
    month: str = Field(examples=["2025-10"])
    state: Literal["archived", "restored"]
    version: int = Field(description="The version of the dataset whose columns the file has.")
    rows: int
    bytes: int
    sha256: str
    first_event: dt.datetime
    last_event: dt.datetime
    object: str = Field(description="Where in the bucket the file is; its manifest is beside it.")
    archived_at: dt.datetime
    restored_at: dt.datetime | None
    restored_rows: int | None
    left_alone: int | None = Field(
        description="Rows that stayed out of the table, which had others with their key."
    )


def object_key(tenant: str, dataset: str, month: dt.date, archive: UUID, part: Part) -> str:
    """Return where in the bucket an object of an archive is."""
    return f"{PREFIX}/{tenant}/{dataset}/{month:%Y-%m}/{archive}.{part}"


def list_archives(
    tx: Transaction, dataset: Dataset, *, limit: int, cursor: str | None = None
) -> Page[Archive]:
    """Return a page of archives, the latest month first. Raises InvalidInputError for a foreign cursor."""
    listed = f"{_LIST} {dataset.id}"
    month, last = decode_cursor(listed, cursor, 2) if cursor else (dt.date.max, _LAST)
    parameters = {"dataset_id": dataset.id, "month": month, "id": last, "limit": limit + 1}
    rows = tx.all(load_queries(_SQL)["list"], parameters)
    items = [to_archive(row) for row in rows[:limit]]
    end = rows[limit - 1] if len(rows) > limit else None
    more = encode_cursor(listed, [str(end["month"]), str(end["id"])]) if end else None
    return Page(items=items, next_cursor=more)


def hold_archive(tx: Transaction, dataset: Dataset, archive: UUID) -> Row:
    """Return an archive's row, held until the end of the transaction. Raises NotFoundError."""
    row = tx.one(load_queries(_SQL)["hold"], {"id": archive, "dataset_id": dataset.id})
    if row is None:
        raise NotFoundError(
            f"{dataset.name} has no such archive.",
            errors=[FieldError("archive", "does not exist", "not_found")],
        )
    return row


def count_archives(tx: Transaction, dataset: Dataset) -> int:
    """Return how many archives a dataset has."""
    return int(tx.value(load_queries(_SQL)["count"], {"dataset_id": dataset.id}))


def to_archive(row: Row) -> Archive:
    """Return a row of the catalogue as an archive."""
    key = object_key(row["tenant"], row["dataset"], row["month"], row["id"], Part.ROWS)
    return Archive.model_validate({**row, "month": f"{row['month']:%Y-%m}", "object": key})


def archive_queries() -> Queries:
    """Return the statements about archives."""
    return load_queries(_SQL)


def remove_outlived(caller: Caller, limit: int = 1000) -> int:
    """Remove objects that nobody needs any more, of those `caller` sees; return how many archives they were.

    What storage does not remove now, or the time does not allow, is left for the next time. Never raises.
    """
    removed = 0
    try:
        with transaction(caller) as tx:
            rows = tx.all(load_queries(_SQL)["outlived"], {"limit": limit})
        for row in rows:
            if remaining_seconds() < _RESERVE:
                break
            _remove(row)
            with transaction(caller) as tx:
                removed += tx.execute(load_queries(_SQL)["forget"], {"id": row["id"]})
    except DatapunkError as error:
        logger().warning("objects of archives are left", extra={"code": error.code})
    return removed


def _remove(row: Row) -> None:
    for part in Part:
        found = look_up(object_key(row["tenant"], row["dataset"], row["month"], row["id"], part))
        if found is not None:
            remove(found)
