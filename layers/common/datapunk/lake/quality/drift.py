"""Drift of the schema: where the table is no longer as declared, and what comes is no longer as expected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field

from datapunk.database import Transaction, load_queries
from datapunk.lake.columns import stored_type
from datapunk.lake.datasets import ROW_ID, Dataset
from datapunk.lake.privacy.cells import blind_column, searchable

_SQL = Path(__file__).parent / "quality.sql"
_MOST_SHAPES = 100


class Difference(StrEnum):
    """How a stored column differs from the declared one."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    TYPE = "type"
    NULLABLE = "nullable"


class ColumnDrift(BaseModel):
    """A column of the table that is not as declared."""

    column: str
    difference: Difference
    declared: str | None = Field(description="The type declared; null for a column that is not.")
    stored: str | None = Field(description="PostgreSQL's type; null for a column that is missing.")


class RefusedShape(BaseModel):
    """What rows in quarantine have in common that did not fit the columns."""

    field: str
    rule: str = Field(description="`extra_forbidden` for an unknown column, or the type's error.")
    rows: int
    last_at: datetime


class Drift(BaseModel):
    """Where the table or the rows that come differ from the declaration."""

    table: list[ColumnDrift]
    quarantine: list[RefusedShape] = Field(description="What comes most often first.")


def find_drift(tx: Transaction, dataset: Dataset) -> Drift:
    """Compare the dataset's declaration with its table, and with what rows were kept aside for."""
    shapes = tx.all(
        load_queries(_SQL)["refused_shapes"], {"dataset_id": dataset.id, "limit": _MOST_SHAPES}
    )
    return Drift(
        table=list(_differences(tx, dataset)),
        quarantine=[RefusedShape.model_validate(row) for row in shapes],
    )


def _differences(tx: Transaction, dataset: Dataset) -> Iterator[ColumnDrift]:
    hidden = [blind_column(column) for column in searchable(dataset)]
    declared = {column.name: column for column in [*dataset.columns, *hidden]}
    own = set() if dataset.key else {ROW_ID}
    types = {name: str(stored_type(column)) for name, column in declared.items()}
    rows = tx.all(
        load_queries(_SQL)["stored_columns"],
        {"table": dataset.table_name, "names": list(types), "types": list(types.values())},
    )
    seen = {row["name"] for row in rows}
    for name, kind in types.items():
        if name not in seen:
            yield ColumnDrift(
                column=name, difference=Difference.MISSING, declared=kind, stored=None
            )
    for row in rows:
        name, stored = row["name"], row["type"]
        column = declared.get(name)
        if column is None:
            if name not in own:
                yield ColumnDrift(
                    column=name, difference=Difference.UNKNOWN, declared=None, stored=stored
                )
        elif not row["same"]:
            yield ColumnDrift(
                column=name, difference=Difference.TYPE, declared=types[name], stored=stored
            )
        elif row["nullable"] and not column.nullable:
            yield ColumnDrift(
                column=name, difference=Difference.NULLABLE, declared=types[name], stored=stored
            )
