"""Changing a dataset while others read and write it: short locks, one version per request, nothing lost.

Writers hold a dataset's definition (`find_dataset(hold=True)`), so a change begins when those at work are
done and those that come later find the new definition. It waits a second at most, since they wait with it,
and tries again a few times. What has to look at every row (the rules of existing rows) happens before and
after, while others go on; a rewrite of the table that takes longer than some seconds is given up.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from psycopg import sql

from datapunk.context import current, remaining_seconds
from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import (
    ConflictError,
    ContentionError,
    DeadlineExceededError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    UnavailableError,
)
from datapunk.events import CloudEvent
from datapunk.identity import Caller
from datapunk.lake.alterations import alter_table, validate_rules
from datapunk.lake.archives.catalogue import remove_outlived
from datapunk.lake.changes import (
    AddColumn,
    Change,
    DatasetChanges,
    SetChecks,
    SetMasking,
    SetRetention,
    apply_change,
)
from datapunk.lake.columns import Column
from datapunk.lake.compatibility import problems
from datapunk.lake.datasets import (
    Dataset,
    find_dataset,
    record_version,
    referencing,
    stored,
    to_dataset,
)
from datapunk.lake.definitions import Definition, stage_definition
from datapunk.lake.geo import require_postgis
from datapunk.lake.partitions import OWNER_ROLE, bounded_locks
from datapunk.lake.privacy.declared import Mask
from datapunk.lake.tables import broken_by, require_patterns
from datapunk.outbox import emit
from datapunk.preconditions import require_match
from datapunk.telemetry import logger

DATASET_CHANGED = "lake.dataset.changed"
DATASET_DELETED = "lake.dataset.deleted"
SOURCE = "/v1/lake/datasets"
_ATTEMPTS = 4
_SQL = Path(__file__).parent / "datasets.sql"
T = TypeVar("T")


def change_dataset(name: str, wanted: DatasetChanges, *, if_match: str | None = None) -> Definition:
    """Change a dataset in the state that `if_match` names, and return it as it is then.

    Not to be called within a transaction: it needs several. Raises NotFoundError, PreconditionFailedError,
    InvalidInputError for changes that make no sense, ConflictError for those that do not go with the rows,
    with what refers to the dataset or with its clients, ContentionError when others are at work for long.
    """
    with transaction() as tx:
        before = find_dataset(tx, name)
        require_match(if_match, before.etag)
        after = _planned(tx, before, wanted)[-1]
        _require_kept(tx, before, after)
    changed = _patiently(lambda: _change(name, wanted, if_match))
    if any(isinstance(change, (SetChecks, AddColumn)) for change in wanted.changes):
        _validate(changed.dataset, before)
    return changed


def delete_dataset(name: str, *, if_match: str | None = None) -> dict[str, str]:
    """Delete a dataset with its rows, in the state that `if_match` names; return headers for the answer.

    Not to be called within a transaction. Raises NotFoundError, PreconditionFailedError, ConflictError while
    other datasets refer to it, ContentionError when others are at work for long.
    """
    headers = _patiently(lambda: _delete(name, if_match))
    work = current()
    # What is left is removed by the schedule that archives.
    remove_outlived(work.caller if work else Caller())
    return headers


def _patiently(work: Callable[[], T]) -> T:
    """Do work that others may keep waiting: each time a little, so that they can go on in between."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return work()
        except ContentionError:
            pause = random.uniform(0.05, 0.2) * 2**attempt  # noqa: S311 -- no secret
            if attempt == _ATTEMPTS or pause > remaining_seconds() - 2:
                raise
            time.sleep(pause)
    raise AssertionError  # pragma: no cover -- the loop returns or raises


def _alone(tx: Transaction, name: str, if_match: str | None) -> Dataset:
    """Return the dataset when nobody writes its rows, and let nobody until the transaction ends."""
    bounded_locks(tx)
    tx.execute(load_queries(_SQL)["hold_alone"], {"tenant": tx.caller.tenant, "name": name})
    dataset = find_dataset(tx, name)
    require_match(if_match, dataset.etag)
    return dataset


def _change(name: str, wanted: DatasetChanges, if_match: str | None) -> Definition:
    with transaction() as tx:
        before = _alone(tx, name, if_match)
        states = _planned(tx, before, wanted)
        with tx.acting_as(OWNER_ROLE):
            for change, old, new in zip(wanted.changes, states, states[1:], strict=False):
                if not isinstance(change, SetRetention):  # the table knows nothing of it
                    alter_table(tx, change, old, new)
        after = states[-1]
        row = tx.one(
            load_queries(_SQL)["update_dataset"],
            {**stored(after), "name": name, "version": before.version + 1},
        )
        changed = to_dataset(row or {})
        record_version(
            tx,
            changed,
            [change.model_dump(mode="json", exclude_none=True) for change in wanted.changes],
        )
        emit(tx, _event(DATASET_CHANGED, changed, wanted.changes))
        headers = stage_definition(tx, name, changed, cause="lake.change_dataset")
    return Definition(changed, headers, cached=False)


def _delete(name: str, if_match: str | None) -> dict[str, str]:
    with transaction() as tx:
        dataset = _alone(tx, name, if_match)
        others = sorted({item.name for item, _ in referencing(tx, name) if item.name != name})
        if others:
            raise ConflictError(
                f"{', '.join(others)} refers to {name}: delete it first, or its reference.",
                errors=[
                    FieldError("dataset", f"is referred to by {item}", "referenced")
                    for item in others
                ],
            )
        with tx.acting_as(OWNER_ROLE):
            tx.execute(sql.SQL("DROP TABLE {}").format(dataset.table))
        tx.execute(load_queries(_SQL)["delete_dataset"], {"name": name})
        emit(tx, _event(DATASET_DELETED, dataset, None))
        return stage_definition(tx, name, None, cause="lake.delete_dataset")


def _event(kind: str, dataset: Dataset, changes: Sequence[Change] | None) -> CloudEvent:
    data: dict[str, Any] = {"dataset": dataset.name, "version": dataset.version}
    if changes is not None:
        data["changes"] = [
            {"op": change.op, "column": _named(dataset, change)} for change in changes
        ]
    return CloudEvent(
        source=SOURCE,
        type=kind,
        subject=dataset.name,
        datacontenttype="application/json",
        data=data,
    )


def _named(dataset: Dataset, change: Change) -> str:
    if isinstance(change, SetRetention):
        return dataset.event_time or ""
    return change.column.name if isinstance(change, AddColumn) else change.column


def _planned(tx: Transaction, before: Dataset, wanted: DatasetChanges) -> list[Dataset]:
    """Return the dataset before, after each change, and at last with all that is wanted.

    Raises as `apply_change` does, and ConflictError for what its clients or references do not bear.
    """
    states = [before]
    for place, change in enumerate(wanted.changes):
        if isinstance(change, SetMasking):
            _require_unmasked(tx, states[-1].column(change.column))
        states.append(apply_change(states[-1], change, place))
    members = {"description": wanted.description, "compatibility": wanted.compatibility}
    given = {name: value for name, value in members.items() if value is not None}
    after = states[-1].model_copy(update=given)
    states.append(after)
    found = problems(before.columns, after.columns, after.compatibility)
    if found:
        listed = "; ".join(f"{column} {why}" for column, why in found)
        raise ConflictError(
            f"Not {after.compatibility} compatible: {listed}.",
            errors=[FieldError(column, why, "incompatible") for column, why in found],
        )
    _require_unreferenced(tx, before, after)
    require_postgis(tx, after.columns)
    require_patterns(tx, after.columns)
    return states


def _require_unmasked(tx: Transaction, column: Column | None) -> None:
    """Raise ForbiddenError where the caller is shown a mask, which he could lift otherwise."""
    if column is None or column.masking is None:
        return
    if column.masking.of(tx.caller.roles) is not Mask.CLEAR:
        raise ForbiddenError(
            f"{column.name} is masked for you: its masking is set by whom it is clear to."
        )


def _require_unreferenced(tx: Transaction, before: Dataset, after: Dataset) -> None:
    """Raise ConflictError when a column that others name by name has another name or type now."""
    for other, link in referencing(tx, before.name):
        if other.name == before.name:
            continue
        for name in link.references or before.key:
            old, new = before.column(name), after.column(name)
            same = old is not None and new is not None and new.type is old.type
            # A reference to the key follows it; one that names columns would name none.
            if not same or (link.references and name not in {item.name for item in after.columns}):
                raise ConflictError(
                    f"{name} is what {other.name} refers to by {link.name}.",
                    errors=[FieldError(name, f"is referred to by {other.name}", "referenced")],
                )


def _ruled(before: Dataset, after: Dataset) -> Iterator[Column]:
    """Yield columns that have other rules than before, and may have values already."""
    for column in after.columns:
        old = next((item for item in before.columns if item.name == column.name), None)
        if old is not None and old.type is column.type and old.checks != column.checks:
            yield column


def _require_kept(tx: Transaction, before: Dataset, after: Dataset) -> None:
    """Raise ConflictError when rows break a rule that is new."""
    for column in _ruled(before, after):
        question = broken_by(before, column)
        if question is not None and tx.value(question):
            raise _broken(column.name)


def _broken(column: str) -> ConflictError:
    return ConflictError(
        f"There are rows whose {column} breaks the rules: correct them first.",
        errors=[FieldError(column, "has values that break the rules", "check")],
    )


def _validate(changed: Dataset, before: Dataset) -> None:
    """Let PostgreSQL look at the rows there were before the rules; others go on meanwhile.

    Rows that were written since we looked, and break them, undo the rules and raise ConflictError. What
    cannot be done now is done by the schedule.
    """
    try:
        with transaction() as tx:
            bounded_locks(tx)
            dataset = find_dataset(tx, changed.name, hold=True)
            with tx.acting_as(OWNER_ROLE):
                validate_rules(tx, dataset.table_name)
    except InvalidInputError:
        undone = list(_undone(before, changed))
        wanted = DatasetChanges(changes=[*undone])
        _patiently(lambda: _change(changed.name, wanted, None))
        raise _broken(", ".join(change.column for change in undone)) from None
    except (UnavailableError, DeadlineExceededError) as error:
        logger().warning("rules are not validated yet", extra={"code": error.code})


def _undone(before: Dataset, changed: Dataset) -> Iterator[SetChecks]:
    """Yield what takes new rules back."""
    for column in changed.columns:
        old = next((item for item in before.columns if {*item.names} & {*column.names}), None)
        checks = old.checks if old else None
        if column.checks is not None and column.checks != checks:
            yield SetChecks(op="set_checks", column=column.name, checks=checks)
