"""Datasets: a name, typed columns, and the table that holds the rows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import Field

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.definition import DatasetDefinition, Declared, Named, Reference
from datapunk.lake.geo import require_postgis
from datapunk.lake.partitions import OWNER_ROLE, SCHEMA, bounded_locks
from datapunk.lake.tables import (
    ROW_ID,
    foreign_key,
    require_patterns,
    table_statements,
)
from datapunk.paging import Page, decode_cursor, encode_cursor

__all__ = [
    "OWNER_ROLE",
    "ROW_ID",
    "SCHEMA",
    "Dataset",
    "DatasetDefinition",
    "create_dataset",
    "find_dataset",
    "list_datasets",
]
_SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.datasets"


class Dataset(Declared, Named):
    """A dataset as it is stored."""

    tenant: str
    version: int
    owner: str
    created_at: datetime
    updated_at: datetime
    table_name: str = Field(exclude=True)
    id: UUID | None = Field(default=None, exclude=True)

    @property
    def etag(self) -> str:
        """Entity tag of this state of the dataset (RFC 9110, 8.8.3)."""
        return f'"{self.version}-{int(self.updated_at.timestamp() * 1_000_000):x}"'

    @property
    def table(self) -> sql.Identifier:
        """The table that holds the rows."""
        return sql.Identifier(SCHEMA, self.table_name)

    def column(self, name: str) -> Column | None:
        """Return the column called `name`, now or before it was renamed, or None."""
        return next((column for column in self.columns if name in column.names), None)

    def row_key(self) -> list[Column]:
        """Return the columns that identify a row of the table."""
        if self.key:
            return [column for name in self.key for column in self.columns if column.name == name]
        return [Column.model_construct(name=ROW_ID, type=ColumnType.INTEGER, nullable=False)]


def create_dataset(tx: Transaction, definition: DatasetDefinition) -> Dataset:
    """Create a dataset and its table.

    Raises ConflictError when the name is taken, InvalidInputError for references that lead nowhere and
    patterns that PostgreSQL does not know, ContentionError when a dataset referred to is being written for
    longer than a moment.
    """
    require_postgis(tx, definition.columns)
    require_patterns(tx, definition.columns)
    table_name = f"{definition.name[:44]}_{secrets.token_hex(4)}"
    try:
        row = tx.one(
            load_queries(_SQL)["insert_dataset"],
            {
                **stored(definition),
                "name": definition.name,
                "table_name": table_name,
                "owner": tx.caller.principal,
            },
        )
    except ConflictError as error:
        raise ConflictError(
            f"There is a dataset called {definition.name} already.",
            errors=[FieldError("name", "is taken", "unique")],
        ) from error
    dataset = to_dataset(row or {})
    targets = [resolve(tx, dataset, link) for link in dataset.references]
    record_version(tx, dataset)
    with tx.acting_as(OWNER_ROLE):
        for statement in table_statements(dataset, tx.caller.tenant):
            tx.execute(statement)
        if targets:
            bounded_locks(tx)
        for link, target in zip(dataset.references, targets, strict=True):
            tx.execute(foreign_key(dataset, link, target))
    return dataset


def find_dataset(tx: Transaction, name: str, *, hold: bool = False) -> Dataset:
    """Return the dataset called `name`. Raises NotFoundError when the caller's tenant has none.

    With `hold` its definition stays as it is until the end of the transaction: for those who write rows.
    Others may do the same at the same time; a change of the definition waits.
    """
    if hold:
        tx.execute(load_queries(_SQL)["hold"], {"tenant": tx.caller.tenant, "name": name})
    return existing(look_up_dataset(tx, name), name)


def look_up_dataset(tx: Transaction, name: str) -> Dataset | None:
    """Return the dataset called `name`, None when the caller's tenant has none."""
    row = tx.one(load_queries(_SQL)["find_dataset"], {"name": name})
    return None if row is None else to_dataset(row)


def existing(dataset: Dataset | None, name: str) -> Dataset:
    """Return what was found under `name`. Raises NotFoundError when that is nothing."""
    if dataset is None:
        raise NotFoundError(
            f"There is no dataset called {name}.",
            errors=[FieldError("dataset", "does not exist", "not_found")],
        )
    return dataset


def list_datasets(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[Dataset]:
    """Return a page of datasets by name. Raises InvalidInputError for a foreign cursor."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(load_queries(_SQL)["list_datasets"], {"after": after, "limit": limit + 1})
    items = [to_dataset(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].name]) if more else None)


def referencing(tx: Transaction, name: str) -> list[tuple[Dataset, Reference]]:
    """Return every reference to the dataset called `name`, with the dataset it belongs to."""
    rows = tx.all(load_queries(_SQL)["referencing"], {"name": name})
    datasets = [to_dataset(row) for row in rows]
    return [(item, link) for item in datasets for link in item.references if link.dataset == name]


def resolve(tx: Transaction, dataset: Dataset, link: Reference) -> Dataset:
    """Return the dataset that a reference leads to.

    Raises InvalidInputError where it does not exist, or the columns there identify no row or have other
    types.
    """
    try:
        target = dataset if link.dataset == dataset.name else find_dataset(tx, link.dataset)
    except NotFoundError:
        raise _unresolved(link, f"there is no dataset called {link.dataset}") from None
    names = target_columns(link, target)
    keys = [set(target.key), *(set(unique) for unique in target.unique)]
    if not names or set(names) not in keys:
        raise _unresolved(
            link,
            f"{', '.join(names) or 'no column'} is neither the key of {target.name} nor unique",
        )
    if len(names) != len(link.columns):
        raise _unresolved(link, f"{len(link.columns)} columns cannot name {len(names)}")
    for ours, theirs in zip(link.columns, names, strict=True):
        here, there = dataset.column(ours), target.column(theirs)
        if here is None or there is None or here.type is not there.type:
            raise _unresolved(link, f"{ours} and {target.name}.{theirs} have different types")
    return target


def target_columns(link: Reference, target: Dataset) -> Sequence[str]:
    """Return the columns a reference leads to: those it names, or the target's key."""
    return link.references or target.key


def _unresolved(link: Reference, message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The reference of {', '.join(link.columns)} is not valid: {message}.",
        errors=[FieldError("references", message, "reference")],
    )


def stored(declared: Declared) -> dict[str, Any]:
    """Return what the catalogue keeps of a definition, as parameters."""
    document = declared.model_dump(mode="json")
    kept = {name: document[name] for name in Declared.model_fields}
    for name in ("columns", "unique", "indexes", "references"):
        kept[name] = Jsonb(kept[name])
    return kept


def record_version(
    tx: Transaction, dataset: Dataset, changes: Sequence[dict[str, Any]] = ()
) -> None:
    """Keep the dataset's definition as that of its version, with the changes that led to it."""
    document = dataset.model_dump(mode="json")
    definition = {name: document[name] for name in Declared.model_fields}
    tx.execute(
        load_queries(_SQL)["insert_version"],
        {
            "id": dataset.id,
            "version": dataset.version,
            "definition": Jsonb(definition),
            "changes": Jsonb(list(changes)),
        },
    )


def to_dataset(row: Row) -> Dataset:
    """Return a row of the catalogue as a dataset."""
    return Dataset.model_validate(row)
