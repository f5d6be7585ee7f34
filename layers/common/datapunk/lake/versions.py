"""Versions of a dataset's definition: each is kept, and rows can be read in the shape of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, NotFoundError
from datapunk.lake.datasets import Dataset
from datapunk.lake.definition import Declared
from datapunk.lake.plan import Field, Output
from datapunk.paging import Page, decode_cursor, encode_cursor

SQL = Path(__file__).parent / "datasets.sql"
_LIST = "lake.dataset_versions"
_NEWEST = 2**31 - 1


class DatasetVersion(BaseModel):
    """One version of a definition, and the changes that led to it."""

    version: int
    changed_by: str
    changed_at: datetime
    changes: list[dict[str, Any]]
    definition: Declared


def find_version(tx: Transaction, dataset: Dataset, version: int) -> DatasetVersion:
    """Return a version of the dataset. Raises NotFoundError when it never had that one."""
    row = tx.one(load_queries(SQL)["find_version"], {"id": dataset.id, "version": version})
    if row is None:
        raise NotFoundError(
            f"{dataset.name} has no version {version}.",
            errors=[FieldError("version", "does not exist", "not_found")],
        )
    return _version(row)


def list_versions(
    tx: Transaction, dataset: Dataset, *, limit: int, cursor: str | None = None
) -> Page[DatasetVersion]:
    """Return a page of versions, newest first. Raises InvalidInputError for a foreign cursor."""
    listed = f"{_LIST} {dataset.id}"
    before = int(decode_cursor(listed, cursor, 1)[0]) if cursor else _NEWEST
    parameters = {"id": dataset.id, "before": before, "limit": limit + 1}
    rows = tx.all(load_queries(SQL)["list_versions"], parameters)
    items = [_version(row) for row in rows[:limit]]
    more = len(rows) > limit
    last = encode_cursor(listed, [items[-1].version]) if more else None
    return Page(items=items, next_cursor=last)


def as_of(dataset: Dataset, earlier: DatasetVersion) -> Dataset:
    """Return the dataset as it was defined in an earlier version."""
    defined = dict(earlier.definition)
    then = {"version": earlier.version, "updated_at": earlier.changed_at}
    return Dataset.model_validate({**dict(dataset), **defined, **then})


def outputs_of(dataset: Dataset, earlier: DatasetVersion) -> Sequence[Output]:
    """Return what an earlier version's columns are now, under the names they had; dropped ones are gone."""
    found = [(column.name, dataset.column(column.name)) for column in earlier.definition.columns]
    return [Output(name, Field(column)) for name, column in found if column is not None]


def _version(row: Row) -> DatasetVersion:
    return DatasetVersion.model_validate(row)
