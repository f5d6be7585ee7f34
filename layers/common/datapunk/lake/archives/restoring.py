"""Archives back into the table: in one transaction, once, into the columns that there are now.

Rows come by COPY into a temporary table and from there; those whose key the table has meanwhile are left
alone. Who was erased since the archive was made stays erased: what encrypts their values is gone, and what
the archive says of them in clear is emptied on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql
from pydantic import BaseModel

from datapunk.context import current, remaining_seconds
from datapunk.database import Transaction, transaction
from datapunk.database.failures import violated_reference
from datapunk.errors import (
    ConflictError,
    DamagedArchiveError,
    DeadlineExceededError,
    InvalidInputError,
)
from datapunk.events import CloudEvent
from datapunk.identity import Caller
from datapunk.lake.alterations import converted
from datapunk.lake.archives.catalogue import (
    ArchivedColumn,
    Part,
    archive_queries,
    hold_archive,
    object_key,
)
from datapunk.lake.archives.following import followed
from datapunk.lake.archives.moving import LeftError, part_month
from datapunk.lake.archives.writing import object_digest, opened
from datapunk.lake.columns import SQL_TYPES, Column, ColumnType
from datapunk.lake.datasets import OWNER_ROLE, Dataset, find_dataset
from datapunk.lake.privacy.cells import (
    blind,
    blind_column,
    bound_to,
    canonical,
    key_of,
    searchable,
    unseal,
)
from datapunk.lake.privacy.data_keys import DataKeys
from datapunk.lake.privacy.erasure import to_empty
from datapunk.lake.staging import explained
from datapunk.lake.telling import SOURCE
from datapunk.outbox import emit

RECORDS_RESTORED = "lake.records.restored"
_STAGE = sql.Identifier("pg_temp", "datapunk_restored")
_BATCH_ROWS = 5_000
_RESERVE = 2.0
_MANIFEST_BYTES = 1024 * 1024
_BUFFER_BYTES = 1024 * 1024
"""Bytes that are read ahead of each column."""


class Restored(BaseModel):
    """What a restoration did. A second one of the same archive does nothing, and says so."""

    archive: UUID
    dataset: str
    month: str
    restored: int
    """Rows that are in the table by this request."""
    left_alone: int
    """Rows of the archive whose key the table has, or had when it was restored."""
    dropped: list[str]
    """Columns of the archive that the dataset does not have any more."""
    already: bool
    """Whether the archive had been restored before."""


def restore_archive(name: str, archive: UUID) -> Restored:
    """Bring the rows of an archive back into the table of its dataset, in the name of the current caller.

    Not to be called within a transaction. Raises NotFoundError, ConflictError where rows do not fit the
    dataset any more, DamagedArchiveError where the object is not what was archived, ContentionError,
    UnavailableError.
    """
    work = current()
    caller = work.caller if work else Caller()
    with transaction() as tx:
        dataset = find_dataset(tx, name)
        row = hold_archive(tx, dataset, archive)
    if row["state"] == "archived":
        with suppress(LeftError):  # then the default partition takes the rows
            part_month(caller, name, row["month"])
    with transaction() as tx:
        dataset = find_dataset(tx, name, hold=True)
        row = hold_archive(tx, dataset, archive)
        if dataset.subject:
            tx.execute(archive_queries()["nobody_erases"])
        columns = [ArchivedColumn.model_validate(item) for item in row["columns"]]
        pairs = followed(tx, dataset, row["version"], columns)
        kept = {archived.name for archived, _ in pairs}
        restored, left_alone = 0, row["left_alone"]
        if row["state"] == "archived":
            restored, left_alone = _Restoration(tx, dataset, row, pairs).run()
        return Restored(
            archive=archive,
            dataset=dataset.name,
            month=f"{row['month']:%Y-%m}",
            restored=restored,
            left_alone=left_alone,
            dropped=[column.name for column in columns if column.name not in kept],
            already=row["state"] != "archived",
        )


class _Restoration:
    def __init__(
        self,
        tx: Transaction,
        dataset: Dataset,
        row: dict[str, Any],
        pairs: Sequence[tuple[ArchivedColumn, Column]],
    ) -> None:
        self.tx, self.dataset, self.row, self.pairs = tx, dataset, row, pairs
        self.keys = DataKeys(tx)
        names = {column.name: archived.name for archived, column in pairs}
        self.searchable = [column for column in searchable(dataset) if column.name in names]
        self.key = [(column, names[column.name]) for column in dataset.row_key()]
        self.archived_as = names

    def run(self) -> tuple[int, int]:
        """Return how many rows were stored, and how many were left alone."""
        key = self._require_whole()
        self._make_stage()
        names = [archived.name for archived, _ in self.pairs]
        blinds = [_staged_blind(column) for column in self.searchable]
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            _STAGE, sql.SQL(", ").join(map(sql.Identifier, [*names, *blinds]))
        )
        rows = 0
        empty = self._emptying()
        with closing(opened(key)) as file:
            for batch in _batches(file, [archived for archived, _ in self.pairs]):
                empty(batch)
                stored = {**batch, **self._blinds(batch)}
                with self.tx.acting_as(OWNER_ROLE), self.tx.copy(statement) as copy:
                    for values in zip(*stored.values(), strict=True):
                        copy.write_row(values)
                rows += self.tx.copied
                if remaining_seconds() < _RESERVE:
                    raise DeadlineExceededError("The time for the restoration was over.")
        if rows != self.row["rows"]:
            raise DamagedArchiveError
        restored = self._store()
        self._note(restored, rows - restored)
        return restored, rows - restored

    def _require_whole(self) -> str:
        """Return the key of the object, which is what the manifest and the catalogue say of it."""
        place = (self.row["tenant"], self.row["dataset"], self.row["month"], self.row["id"])
        with closing(opened(object_key(*place, Part.MANIFEST))) as file:
            try:
                manifest = orjson.loads(file.read(_MANIFEST_BYTES))
                told = (manifest["sha256"], manifest["bytes"])
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise DamagedArchiveError from error
        known = (self.row["sha256"], self.row["bytes"])
        key = object_key(*place, Part.ROWS)
        if told != known or object_digest(key) != known:
            raise DamagedArchiveError
        return key

    def _make_stage(self) -> None:
        parts = [
            (archived.name, "bytea" if archived.encrypted else SQL_TYPES[archived.type])
            for archived, _ in self.pairs
        ]
        parts += [(_staged_blind(column), "bytea") for column in self.searchable]
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in parts
        )
        make = sql.SQL("CREATE TEMPORARY TABLE datapunk_restored ({}) ON COMMIT DROP")
        with self.tx.acting_as(OWNER_ROLE):
            self.tx.execute(make.format(columns))

    def _store(self) -> int:
        targets = [column.name for _, column in self.pairs]
        sources: list[sql.Composable] = [
            sql.Identifier(archived.name)
            if archived.encrypted or archived.type is column.type
            else converted(archived.name, archived.type, column.type)
            for archived, column in self.pairs
        ]
        targets += [blind_column(column).name for column in self.searchable]
        sources += [sql.Identifier(_staged_blind(column)) for column in self.searchable]
        statement = (
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT DO NOTHING"
        )
        store = sql.SQL(statement).format(
            self.dataset.table,
            sql.SQL(", ").join(map(sql.Identifier, targets)),
            sql.SQL(", ").join(sources),
            _STAGE,
        )
        try:
            with self.tx.acting_as(OWNER_ROLE):
                return self.tx.execute(store)
        except InvalidInputError as error:
            raise self._unfit(error) from error

    def _unfit(self, error: InvalidInputError) -> ConflictError:
        found = explained(error, self.dataset)
        listed = "; ".join(f"{item.field}: {item.message}" for item in found)
        why = "since others they refer to are gone" if violated_reference(error) else "by its rules"
        return ConflictError(
            f"Nothing was restored: rows do not fit the dataset any more, {why} ({listed}).",
            errors=found,
        )

    def _note(self, restored: int, left_alone: int) -> None:
        parameters = {"id": self.row["id"], "restored": restored, "left_alone": left_alone}
        self.tx.execute(archive_queries()["restored"], parameters)
        emit(
            self.tx,
            CloudEvent(
                source=SOURCE,
                type=RECORDS_RESTORED,
                subject=self.dataset.name,
                datacontenttype="application/json",
                data={
                    "dataset": self.dataset.name,
                    "version": self.dataset.version,
                    "archive": str(self.row["id"]),
                    "month": f"{self.row['month']:%Y-%m}",
                    "count": restored,
                },
            ),
        )

    # -- what protects persons -----------------------------------------------------------------------

    def _emptying(self) -> Callable[[dict[str, list[Any]]], None]:
        """Return what empties, in rows about persons who were erased since, what is not encrypted."""
        subject = self.dataset.column(self.dataset.subject or "")
        if subject is None or subject.name not in self.archived_as:
            return lambda _: None
        emptied = [
            self.archived_as[column.name]
            for column in to_empty(self.dataset)
            if column.name in self.archived_as
        ]
        since = {"since": self.row["archived_at"]}
        found = self.tx.all(archive_queries()["erased_since"], since)
        erased = {bytes(row["subject"]) for row in found}
        if not erased or not emptied:
            return lambda _: None

        def empty(batch: dict[str, list[Any]]) -> None:
            persons = [canonical(subject, value) for value in batch[self.archived_as[subject.name]]]
            gone = {
                person for person in dict.fromkeys(persons) if self.keys.digest(person) in erased
            }
            for name in emptied if gone else ():
                batch[name] = [
                    None if person in gone else value
                    for person, value in zip(persons, batch[name], strict=True)
                ]

        return empty

    def _blinds(self, batch: dict[str, list[Any]]) -> dict[str, list[bytes | None]]:
        """Return the blind indexes of rows; none of what nobody can read any more."""
        if not self.searchable:
            return {}
        cells = {column.name: batch[self.archived_as[column.name]] for column in self.searchable}
        ids = {key_of(cell) for column in cells.values() for cell in column if cell is not None}
        known = self.keys.by_id(ids) if ids else {}
        index_key = self.keys.index_key("search")
        texts = [[canonical(part, value) for value in batch[name]] for part, name in self.key]
        places = list(zip(*texts, strict=True))
        made: dict[str, list[bytes | None]] = {}
        for column in self.searchable:
            digests: list[bytes | None] = []
            for cell, place in zip(cells[column.name], places, strict=True):
                data_key = None if cell is None else known[key_of(cell)]
                if cell is None or data_key is None:
                    digests.append(None)
                    continue
                bound = bound_to(self.dataset, column, place)
                text = canonical_text(column, unseal(data_key, cell, bound).decode())
                digests.append(blind(index_key, self.dataset, column, text))
            made[_staged_blind(column)] = digests
        return made


def canonical_text(column: Column, text: str) -> str:
    """Return what a blind index is made of, from the text that a cell holds."""
    return text if column.type is ColumnType.JSON else canonical(column, text)


def _staged_blind(column: Column) -> str:
    return blind_column(column).name


def _batches(file: Any, columns: Sequence[ArchivedColumn]) -> Iterator[dict[str, list[Any]]]:
    """Yield columns of rows, as COPY takes their values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [column.name for column in columns]
    try:
        source = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        for batch in source.iter_batches(_BATCH_ROWS, columns=names, use_threads=False):
            yield {column.name: _values(column, batch.column(column.name)) for column in columns}
    except pa.ArrowException as error:
        raise DamagedArchiveError from error


def _values(column: ArchivedColumn, stored: Any) -> list[Any]:
    values = stored.to_pylist()
    read: Callable[[Any], Any] | None = bytes.fromhex if column.encrypted else None
    if column.type is ColumnType.VECTOR and not column.encrypted:
        read = str
    return [None if value is None else read(value) for value in values] if read else list(values)
