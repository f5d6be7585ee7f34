"""Erasing a person: the keys that encrypt what is known of them are destroyed, and rows stay.

What a destroyed key encrypted is unreadable wherever a copy of it lies: in tables, archives and exports. The
rest is done row by row: blind indexes, by which a guessed value could be confirmed, are emptied, and so are
columns of personal data that are not encrypted, where they may be null. Archives have no blind indexes; what
is not encrypted stays in their objects, which are not written anew, and is emptied when rows come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from psycopg import sql
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from datapunk import audit
from datapunk.database import Transaction, load_queries
from datapunk.lake.archives.catalogue import archive_queries, count_archives
from datapunk.lake.columns import Column, Sensitivity
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.privacy.cells import blind_column, canonical, searchable
from datapunk.lake.privacy.data_keys import DataKeys
from datapunk.lake.quarantine import forget_rows
from datapunk.lake.telling import RECORDS_UPDATED, tell
from datapunk.lake.values import read_value

ACTION = "lake.erase_person"
_CAREFUL = (Sensitivity.PERSONAL, Sensitivity.SECRET)
_SQL = Path(__file__).parent.parent / "datasets.sql"
_SHOWN = 16


class Person(BaseModel):
    """Who is to be erased."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"subject": "patient-4711"}]}
    )

    subject: Annotated[str, StringConstraints(pattern=r"^[^\x00]+$"), Field(max_length=1000)] = (
        Field(description="The person, as the subject columns of datasets name them.")
    )


class ErasedDataset(BaseModel):
    """What became of a dataset's rows about the person."""

    dataset: str
    rows: int
    emptied: list[str]
    """Columns that are null now in these rows."""
    left: list[str]
    """Columns of personal data that are neither encrypted nor may be null: to be dealt with by hand."""
    archives: int
    """Archives of the dataset that keep columns named above in clear, until they are restored or deleted."""


class Erasure(BaseModel):
    """What an erasure did. `person` is the digest by which the audit trail names them."""

    person: str
    keys_destroyed: int
    quarantined: int
    """Rows about them that waited in quarantine, which are gone."""
    datasets: list[ErasedDataset]


def erase_person(tx: Transaction, person: Person) -> Erasure:
    """Destroy a person's data keys and empty what is left of them, in all datasets of the tenant.

    Doing it again is no error: what was written about the person since is erased too. Writers at work on rows
    about them are waited for.
    """
    # Rows that come back from archives meanwhile are waited for: they would not be seen here.
    tx.execute(archive_queries()["erase_alone"])
    subjects = list(_subjects(tx))
    keys = DataKeys(tx)
    # As each dataset writes it: a number has one text only, and so has a UUID.
    spelled = (_spelled(column, person.subject) for _, column in subjects)
    spellings = {person.subject, *(spelling for spelling in spelled if spelling is not None)}
    digests = [keys.digest(spelling) for spelling in sorted(spellings)]
    tx.execute(archive_queries()["erased"], {"subjects": digests})
    destroyed = [key for spelling in sorted(spellings) for key in keys.erase(spelling)]
    quarantined = forget_rows(tx, destroyed)
    found = [
        _erase_rows(tx, dataset, column, spelling)
        for dataset, column in subjects
        if (spelling := _spelled(column, person.subject)) is not None
    ]
    erasure = Erasure(
        person=keys.digest(person.subject).hex()[:_SHOWN],
        keys_destroyed=len(destroyed),
        quarantined=quarantined,
        datasets=[item for item in found if item.rows or item.left or item.archives],
    )
    audit.record(
        tx,
        ACTION,
        f"person/{erasure.person}",
        detail={
            "keys": len(destroyed),
            "quarantined": quarantined,
            "datasets": len(erasure.datasets),
            "rows": sum(item.rows for item in erasure.datasets),
        },
    )
    return erasure


def _subjects(tx: Transaction) -> Iterator[tuple[Dataset, Column]]:
    """Yield the datasets whose rows are about persons, held as they are, and the column that says whom."""
    for row in tx.all(load_queries(_SQL)["with_subject"]):
        dataset = find_dataset(tx, row["name"], hold=True)
        column = dataset.column(dataset.subject or "")
        if column is not None:
            yield dataset, column


def _spelled(column: Column, subject: str) -> str | None:
    """Return how a column writes a subject, None where it cannot hold it."""
    try:
        return canonical(column, read_value(column.type, subject))
    except ValueError:
        return None


def _erase_rows(tx: Transaction, dataset: Dataset, subject: Column, spelling: str) -> ErasedDataset:
    careful, emptied = _careful(dataset), to_empty(dataset)
    indexes = [blind_column(column) for column in searchable(dataset)]
    condition = sql.SQL("WHERE {} = %(subject)s").format(sql.Identifier(subject.name))
    parameters = {"subject": read_value(subject.type, spelling)}
    if emptied or indexes:
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = NULL").format(sql.Identifier(column.name))
            for column in [*emptied, *indexes]
        )
        update = sql.SQL("UPDATE {} SET {} {}").format(dataset.table, assignments, condition)
        rows = tx.execute(update, parameters)
    else:
        count = sql.SQL("SELECT count(*) FROM {} {}").format(dataset.table, condition)
        rows = int(tx.value(count, parameters))
    if rows:
        tell(tx, dataset, RECORDS_UPDATED, rows)
    return ErasedDataset(
        dataset=dataset.name,
        rows=rows,
        emptied=[column.name for column in emptied],
        left=[column.name for column in careful if column not in emptied],
        archives=count_archives(tx, dataset) if careful else 0,
    )


def _careful(dataset: Dataset) -> list[Column]:
    return [
        column
        for column in dataset.columns
        if column.sensitivity in _CAREFUL
        and not column.encrypted
        and column.name != dataset.subject
    ]


def to_empty(dataset: Dataset) -> list[Column]:
    """Return the columns that are emptied in rows about a person who is erased."""
    kept = {*dataset.key, dataset.event_time}
    return [column for column in _careful(dataset) if column.nullable and column.name not in kept]
