"""Months that are older than their dataset keeps rows for: to storage, and then out of the table.

A month is copied without a lock, as one statement sees it. Then, with writers of the dataset shut out for
seconds, its rows are compared with those that were copied, by where they stand and which transaction put
them there; if none has changed, one transaction drops the partition and says that the archive counts. So
whatever ends a run, at whatever moment: rows are in the table, or in an archive that was read back, and the
catalogue tells which.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from datapunk import audit
from datapunk.context import remaining_seconds
from datapunk.database import Transaction, beside, load_queries, transaction
from datapunk.database.failures import is_outdated, violated_reference
from datapunk.errors import ConflictError, DatapunkError
from datapunk.events import CloudEvent
from datapunk.identity import SYSTEM, Caller
from datapunk.lake.archives.catalogue import (
    DEAD_SECONDS,
    archive_queries,
    remove_outlived,
)
from datapunk.lake.archives.writing import (
    Copied,
    archived_columns,
    copy_month,
    fingerprint,
    partition_of,
)
from datapunk.lake.columns import SQL_TYPES
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.partitions import (
    OWNER_ROLE,
    SCHEMA,
    add_month,
    bounded_locks,
    is_referenced,
    partition_name,
)
from datapunk.lake.telling import SOURCE
from datapunk.outbox import emit
from datapunk.telemetry import logger

ACTION = "lake.archive_partitions"
RECORDS_ARCHIVED = "lake.records.archived"
RESTING_DAYS = 30
"""How long a month that was restored stays in the table."""
COMPARE_SECONDS = 5.0
"""How long writers of a dataset may be shut out while a month's rows are compared."""
MOST_MONTHS = 24
"""Months of one dataset that the default partition gives up in one run."""
_RESERVE = 30.0
T = TypeVar("T")
_SQL = Path(__file__).parent.parent / "datasets.sql"


class LeftError(Exception):
    """A month stays in the table for now."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def archive_partitions(today: dt.date) -> dict[str, Any]:
    """Archive every month that is due, of every tenant's datasets; a failure leaves the others as they are.

    Returns how many months and rows went to storage, how many archives of nobody were removed, and why how
    many months were left for a later run.
    """
    with transaction(SYSTEM) as tx:
        tx.execute(archive_queries()["give_up_dead"], {"seconds": DEAD_SECONDS})
        datasets = tx.all(archive_queries()["due"])
    # Whoever has the most to move is not to be first every day.
    random.shuffle(datasets)
    months = rows = 0
    left: Counter[str] = Counter()
    for item in datasets:
        caller = Caller(principal=SYSTEM.principal, tenant=item["tenant"])
        for month, outcome in _archive_dataset(caller, item["name"], today):
            if isinstance(outcome, int):
                months += outcome > 0
                rows += outcome
                continue
            left[outcome] += 1
            extra = {"tenant": caller.tenant, "dataset": item["name"], "reason": outcome}
            logger().warning("month not archived", extra={**extra, "month": month})
    removed = remove_outlived(SYSTEM)
    return {"months": months, "rows": rows, "removed": removed, "left": dict(left)}


def _archive_dataset(caller: Caller, name: str, today: dt.date) -> Iterator[tuple[str, int | str]]:
    """Yield each month of a dataset that is due, with its rows that were moved or why it was left."""
    due = _tried(lambda: _due(caller, name, today))
    if isinstance(due, str):
        yield "", due
        return
    for month in due:
        if remaining_seconds() < _RESERVE:
            yield f"{month:%Y-%m}", "time"
        else:
            yield f"{month:%Y-%m}", _tried(partial(_move, caller, name, month))


def _tried(work: Callable[[], T]) -> T | str:
    """Do work and return what it does; where it fails, why."""
    try:
        return work()
    except LeftError as error:
        return error.reason
    except DatapunkError as error:
        return error.code
    except Exception:  # noqa: BLE001 -- what is wrong with one dataset stops no other
        logger().exception("archiving failed")
        return "internal"


def _move(caller: Caller, name: str, month: dt.date) -> int:
    part_month(caller, name, month)
    return archive_month(caller, name, month)


def first_kept(today: dt.date, months: int) -> dt.date:
    """Return the first month that a dataset keeps: what ended `months` months ago or earlier is due."""
    place = max(today.year * 12 + today.month - 1 - months, 12)
    return dt.date(place // 12, place % 12 + 1, 1)


def _due(caller: Caller, name: str, today: dt.date) -> list[dt.date]:
    """Return the months that are to be archived, earliest first, those of the default partition too."""
    with transaction(caller) as tx:
        dataset = find_dataset(tx, name)
        if dataset.retention_months is None:
            return []
        before = first_kept(today, dataset.retention_months)
        parameters = {"table": dataset.table_name, "before": before}
        parted = [row["month"] for row in tx.all(archive_queries()["months"], parameters)]
        with tx.acting_as(OWNER_ROLE):
            loose = _loose(tx, dataset, before)
        resting = {
            row["month"]
            for row in tx.all(
                archive_queries()["resting"], {"dataset_id": dataset.id, "days": RESTING_DAYS}
            )
        }
    return [month for month in sorted({*parted, *loose}) if month not in resting]


def _loose(tx: Transaction, dataset: Dataset, before: dt.date) -> list[dt.date]:
    column = next(item for item in dataset.columns if item.name == dataset.event_time)
    kind = sql.SQL(SQL_TYPES[column.type])
    question = (
        "SELECT DISTINCT date_trunc('month', {time}::timestamptz AT TIME ZONE 'UTC')::date AS month "
        "FROM ONLY {default} WHERE {time} >= {first}::{kind} AND {time} < {before}::{kind} "
        "ORDER BY 1 LIMIT {most}"
    )
    statement = sql.SQL(question).format(
        time=sql.Identifier(column.name),
        default=sql.Identifier(SCHEMA, partition_name(dataset.table_name, None)),
        # Names of partitions have years of four digits.
        first=sql.Literal("1000-01-01 00:00:00+00"),
        before=sql.Literal(f"{before.isoformat()} 00:00:00+00"),
        kind=kind,
        most=sql.Literal(MOST_MONTHS),
    )
    return [row["month"] for row in tx.all(statement)]


def part_month(caller: Caller, name: str, month: dt.date) -> None:
    """Give a dataset a partition for a month, with the rows of it that the default partition has.

    Where it has one already nothing changes. Raises LeftError when rows elsewhere refer to such rows,
    ContentionError when others are at work for long.
    """
    with transaction(caller) as tx:
        bounded_locks(tx)
        dataset = find_dataset(tx, name, hold=True)
        column = next(item for item in dataset.columns if item.name == dataset.event_time)
        known = f"{SCHEMA}.{partition_name(dataset.table_name, month)}"
        if tx.value("SELECT to_regclass(%s)", (known,)) is not None:
            return
        table = {
            "table_name": dataset.table_name,
            "event_time": column.name,
            "kind": SQL_TYPES[column.type],
        }
        with tx.acting_as(OWNER_ROLE):
            try:
                add_month(tx, table, month)
            except ConflictError as error:
                raise LeftError("referenced") from error


def archive_month(caller: Caller, name: str, month: dt.date) -> int:
    """Move a month of a dataset to storage and return how many rows it had; an empty one stays.

    Raises LeftError for what keeps it in the table, and DatapunkError; in either case it is as it was.
    """
    begun: list[UUID] = []
    try:
        with transaction(caller) as tx:
            dataset = find_dataset(tx, name)
            with tx.acting_as(OWNER_ROLE):
                _require_unreferenced(tx, dataset, month)
                copied = copy_month(tx, dataset, month, _beginner(caller, dataset, month, begun))
        if copied.rows:
            _drop(caller, dataset, month, copied)
    except DatapunkError as error:
        _give_up(caller, begun)
        if is_outdated(error):
            raise LeftError("gone") from error
        raise
    except Exception:
        _give_up(caller, begun)
        raise
    return copied.rows


def _require_unreferenced(tx: Transaction, dataset: Dataset, month: dt.date) -> None:
    """Raise LeftError before a month is copied for nothing: PostgreSQL would not let the partition go."""
    if is_referenced(tx, dataset.table_name, partition_of(dataset, month)):
        raise LeftError("referenced")


def _beginner(
    caller: Caller, dataset: Dataset, month: dt.date, begun: list[UUID]
) -> Callable[[UUID], None]:
    columns = [column.model_dump(mode="json") for column in archived_columns(dataset)]

    def begin(archive: UUID) -> None:
        begun.append(archive)
        # Seen at once: an object that a killed run leaves is found by it.
        with beside(caller) as tx:
            tx.execute(
                archive_queries()["begin"],
                {
                    "id": archive,
                    "tenant": caller.tenant,
                    "dataset_id": dataset.id,
                    "dataset": dataset.name,
                    "month": month,
                    "version": dataset.version,
                    "columns": Jsonb(columns),
                },
            )

    return begin


def _drop(caller: Caller, copied_as: Dataset, month: dt.date, copied: Copied) -> None:
    """Have the archives count and drop the partition they were made of, if it is as it was copied."""
    with transaction(caller) as tx:
        bounded_locks(tx)
        # Writers hold the dataset before they touch its table, so they wait here and not at the lock below,
        # which is for those that come by a reference of another dataset.
        tx.execute(
            load_queries(_SQL)["hold_alone"], {"tenant": caller.tenant, "name": copied_as.name}
        )
        dataset = find_dataset(tx, copied_as.name)
        if dataset.id != copied_as.id or dataset.version != copied_as.version:
            raise LeftError("changed")
        partition = partition_of(dataset, month)
        _bound(tx, COMPARE_SECONDS)
        with tx.acting_as(OWNER_ROLE):
            tx.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(partition))
            if fingerprint(tx, dataset, month) != (copied.rows, copied.marks):
                raise LeftError("changed")
            _detach(tx, dataset, partition)
        _record(tx, dataset, month, copied)


def _bound(tx: Transaction, seconds: float) -> None:
    most = int(min(seconds, max(remaining_seconds(), 0.001)) * 1000)
    tx.execute("SELECT set_config('statement_timeout', %s, true)", (str(most),))


def _detach(tx: Transaction, dataset: Dataset, partition: sql.Identifier) -> None:
    detach = sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(dataset.table, partition)
    try:
        tx.execute(detach)
    except DatapunkError as error:
        if violated_reference(error) is not None:
            raise LeftError("referenced") from error
        raise
    tx.execute(sql.SQL("DROP TABLE {}").format(partition))


def _record(tx: Transaction, dataset: Dataset, month: dt.date, copied: Copied) -> None:
    queries = archive_queries()
    tx.execute(queries["superseded"], {"dataset_id": dataset.id, "month": month})
    for part in copied.parts:
        parameters = {
            "id": part.id,
            "rows": part.rows,
            "bytes": part.bytes,
            "sha256": part.sha256,
            "first_event": part.first_event,
            "last_event": part.last_event,
        }
        if tx.execute(queries["finish"], parameters) != 1:
            raise LeftError("given_up")
    told: dict[str, str | int] = {"month": f"{month:%Y-%m}", "count": copied.rows}
    archives = [str(part.id) for part in copied.parts]
    emit(
        tx,
        CloudEvent(
            source=SOURCE,
            type=RECORDS_ARCHIVED,
            subject=dataset.name,
            datacontenttype="application/json",
            data={
                "dataset": dataset.name,
                "version": dataset.version,
                **told,
                "archives": archives,
            },
        ),
    )
    audit.record(
        tx,
        ACTION,
        f"dataset/{dataset.name}",
        detail={**told, "archives": " ".join(archives)},
        caller=tx.caller,
    )


def _give_up(caller: Caller, begun: list[UUID]) -> None:
    """Have the objects removed that were written for nothing; those of archives that count stay."""
    if not begun:
        return
    try:
        with transaction(caller) as tx:
            tx.execute(archive_queries()["give_up"], {"ids": begun})
    except DatapunkError as error:
        logger().warning("objects are left until they are dead", extra={"code": error.code})
