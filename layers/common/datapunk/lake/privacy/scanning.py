"""Looking for personal data in the rows of a dataset: a sample of them, of which nothing is shown."""

from __future__ import annotations

from typing import Any

from psycopg import sql
from pydantic import BaseModel, Field

from datapunk.database import Transaction
from datapunk.lake.changes import DescribeColumn
from datapunk.lake.columns import ColumnType, Sensitivity
from datapunk.lake.datasets import Dataset
from datapunk.lake.privacy.recognisers import Finding, proposed, recognise

SAMPLED = 1_000
"""Rows that are looked at."""
LONGEST = 10_000
"""Characters of a value that are looked at."""
_KINDS = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.DATE, ColumnType.JSON)


class ScannedColumn(BaseModel):
    """What a column seems to hold, and what is declared of it."""

    column: str
    sensitivity: Sensitivity
    encrypted: bool = Field(description="Encrypted columns are not looked into.")
    findings: list[Finding]


class Scan(BaseModel):
    """What was found; `changes` are what `lake.change_dataset` takes to declare it, once looked at."""

    dataset: str
    rows: int = Field(description="How many rows were looked at.")
    columns: list[ScannedColumn]
    changes: list[DescribeColumn]


def scan_dataset(tx: Transaction, dataset: Dataset) -> Scan:
    """Look for personal data in a sample of 1,000 rows."""
    looked_at = [
        column for column in dataset.columns if column.type in _KINDS and not column.encrypted
    ]
    rows = _sample(tx, dataset, [column.name for column in looked_at]) if looked_at else []
    columns, changes = [], []
    for column in dataset.columns:
        findings: list[Finding] = []
        if column in looked_at:
            values = [row[column.name] for row in rows if row[column.name] is not None]
            findings = recognise(column.name, values)
        columns.append(
            ScannedColumn(
                column=column.name,
                sensitivity=column.sensitivity,
                encrypted=column.encrypted,
                findings=findings,
            )
        )
        wanted = proposed(findings)
        if wanted is not None and column.sensitivity in (Sensitivity.PUBLIC, Sensitivity.INTERNAL):
            changes.append(
                DescribeColumn(op="describe_column", column=column.name, sensitivity=wanted)
            )
    return Scan(dataset=dataset.name, rows=len(rows), columns=columns, changes=changes)


def _sample(tx: Transaction, dataset: Dataset, names: list[str]) -> list[dict[str, Any]]:
    """Return rows as texts, from pages all over the table where its statistics tell how many there are."""
    known = tx.value(
        "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", (dataset.table.as_string(),)
    )
    percent = min(100.0, 100.0 * 2 * SAMPLED / max(float(known or 0), 1.0))
    columns = sql.SQL(", ").join(
        sql.SQL("left({0}::text, {1}) AS {0}").format(sql.Identifier(name), sql.Literal(LONGEST))
        for name in names
    )
    return tx.all(
        sql.SQL("SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) LIMIT {}").format(
            columns, dataset.table, sql.Literal(percent), sql.Literal(SAMPLED)
        )
    )
