"""Rows that did not fit: kept whole with what is wrong, until they are corrected, released or discarded.

Whoever may write to a dataset may decide about them. Rows that wait for more than a day are told of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field
from pydantic_core import from_json

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError, NotFoundError
from datapunk.events import CloudEvent, event_message
from datapunk.identity import Caller
from datapunk.lake.datasets import Dataset
from datapunk.lake.parsing import JSON
from datapunk.lake.privacy.kept import Kept, open_rows, seal_rows, shown_whole
from datapunk.lake.sifting import Refused, sift_kept
from datapunk.lake.staging import OnConflict, Outcome, Stage
from datapunk.outbox import enqueue
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.telemetry import count

QUARANTINE_OVERDUE = "lake.quarantine.overdue"
SOURCE = "/v1/lake/datasets"
_SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.quarantine"
_NOBODY = UUID(int=0)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Wrong(BaseModel):
    """One thing that is wrong with a row."""

    field: str
    message: str
    code: str


class Quarantined(BaseModel):
    """A row in quarantine."""

    id: UUID
    dataset: str
    version: int = Field(description="Version of the dataset's definition the row did not fit.")
    batch: UUID = Field(description="What the rows of one request have in common.")
    position: int = Field(description="Number of the row in the body, from 1.")
    media_type: str = Field(description="How `content` is read: of text/csv its values are texts.")
    content: Any = Field(
        description="The row as it was sent; null where a column of the dataset is masked for you."
    )
    rule: str = Field(description="The first rule that the row breaks.")
    reason: str
    errors: list[Wrong]
    corrected_by: str | None
    corrected_at: datetime | None
    quarantined_by: str
    quarantined_at: datetime


def keep(
    tx: Transaction,
    dataset: Dataset,
    media_type: str,
    rows: Sequence[Refused],
    batch: UUID | None = None,
) -> UUID:
    """Put rows of one request into quarantine and return the name of their batch, a new one by default."""
    batch = batch or uuid4()
    common = {
        "dataset_id": dataset.id,
        "dataset": dataset.name,
        "version": dataset.version,
        "batch": batch,
        "media_type": media_type,
    }
    named = [(uuid4(), row.content) for row in rows]
    contents = seal_rows(tx, dataset, named)
    tx.execute_many(
        load_queries(_SQL)["keep"],
        [
            {
                **common,
                **_stored(content),
                "id": row_id,
                "position": row.position,
                "rule": row.rule,
                "reason": row.reason,
                "errors": Jsonb([error.as_dict() for error in row.errors]),
            }
            for row, (row_id, _), content in zip(rows, named, contents, strict=True)
        ],
    )
    for rule, number in Counter(row.rule for row in rows).items():
        count("records_quarantined_total", number, service="lake", rule=rule)
    return batch


def list_rows(
    tx: Transaction,
    dataset: Dataset,
    *,
    limit: int,
    cursor: str | None = None,
    batch: UUID | None = None,
    rule: str | None = None,
) -> Page[Quarantined]:
    """Return a page of a dataset's rows in quarantine, those that wait longest first.

    Raises InvalidInputError for a foreign cursor.
    """
    listed = f"{_LIST} {dataset.id} {batch} {rule}"
    after, after_id = _BEGINNING, _NOBODY
    if cursor:
        after, after_id = _position(decode_cursor(listed, cursor, 2))
    parameters = {
        "dataset_id": dataset.id,
        "after": after,
        "after_id": after_id,
        "batch": batch,
        "rule": rule,
        "limit": limit + 1,
    }
    rows = tx.all(load_queries(_SQL)["list"], parameters)
    items = _shown(tx, dataset, rows[:limit])
    following = None
    if len(rows) > limit:
        following = encode_cursor(listed, [items[-1].quarantined_at.isoformat(), str(items[-1].id)])
    return Page(items=items, next_cursor=following)


def _position(position: list[Any]) -> tuple[datetime, UUID]:
    try:
        return datetime.fromisoformat(position[0]), UUID(position[1])
    except (AttributeError, TypeError, ValueError):
        errors = [FieldError("cursor", "is not a cursor of this list", "cursor")]
        raise InvalidInputError("Not valid: cursor.", errors=errors) from None


def find_row(tx: Transaction, dataset: Dataset, row_id: UUID) -> Quarantined:
    """Return a row in quarantine. Raises NotFoundError."""
    return _shown(tx, dataset, [_found(tx, "find", dataset, row_id)])[0]


def correct_row(tx: Transaction, dataset: Dataset, row_id: UUID, content: str) -> Quarantined:
    """Give a row a new content, a JSON object, which stays in quarantine until it is released.

    Raises NotFoundError, and InvalidInputError for a content that does not fit the dataset's columns.
    """
    _found(tx, "hold", dataset, row_id)
    for batch in sift_kept(JSON, content, dataset.columns).batches:
        _require_fit(batch.refused)
    (corrected,) = seal_rows(tx, dataset, [(row_id, content)])
    rows = tx.all(
        load_queries(_SQL)["correct"],
        {"dataset_id": dataset.id, "id": row_id, **_stored(corrected)},
    )
    return _shown(tx, dataset, rows)[0]


def release_row(
    tx: Transaction, dataset: Dataset, row_id: UUID, on_conflict: OnConflict
) -> Outcome:
    """Store a row in the dataset, which it must fit by now, and take it out of quarantine.

    Raises NotFoundError, and InvalidInputError naming what is still wrong; the row then stays.
    """
    kept = _found(tx, "hold", dataset, row_id)
    (content,) = open_rows(tx, dataset, [(row_id, _kept(kept))])
    if content is None:
        raise _missing(dataset, row_id)
    sifted = sift_kept(kept["media_type"], content, dataset.columns)
    outcome = Stage(tx, dataset, sifted.columns, on_conflict).sift(sifted, most=1)
    _require_fit(outcome.refused)
    discard_row(tx, dataset, row_id)
    return outcome


def discard_row(tx: Transaction, dataset: Dataset, row_id: UUID) -> None:
    """Delete a row from quarantine. Raises NotFoundError."""
    names = {"dataset_id": dataset.id, "id": row_id}
    if not tx.execute(load_queries(_SQL)["discard"], names):
        raise _missing(dataset, row_id)


def forget_rows(tx: Transaction, data_keys: Sequence[int]) -> int:
    """Delete the rows that these data keys encrypt, which are destroyed, and return how many."""
    return tx.execute(load_queries(_SQL)["erase"], {"data_keys": list(data_keys)})


def escalate(tx: Transaction) -> dict[str, float]:
    """Tell every tenant, once for each row, of rows that have waited for more than 24 hours.

    Returns how many rows were told of, how many wait in all, and for how many seconds the oldest has.
    """
    told = 0
    for due in tx.all(load_queries(_SQL)["overdue"]):
        event = CloudEvent(
            source=SOURCE,
            type=QUARANTINE_OVERDUE,
            subject=due["dataset"],
            datacontenttype="application/json",
            data={
                "dataset": due["dataset"],
                "count": due["count"],
                "oldest": due["oldest"].isoformat(),
            },
        )
        told += due["count"]
        owner = Caller(principal=tx.caller.principal, tenant=due["tenant"])
        enqueue(tx, event_message(event.signed_by(owner)))
    waiting = tx.one(load_queries(_SQL)["waiting"]) or {}
    return {"told": told, "waiting": int(waiting["rows"]), "oldest_seconds": waiting["seconds"]}


def _found(tx: Transaction, query: str, dataset: Dataset, row_id: UUID) -> Row:
    row = tx.one(load_queries(_SQL)[query], {"dataset_id": dataset.id, "id": row_id})
    if row is None:
        raise _missing(dataset, row_id)
    return row


def _missing(dataset: Dataset, row_id: UUID) -> NotFoundError:
    return NotFoundError(
        f"{dataset.name} has no row {row_id} in quarantine.",
        errors=[FieldError("row", "does not exist", "not_found")],
    )


def _require_fit(refused: Sequence[Refused]) -> None:
    for row in refused:
        raise InvalidInputError(f"The row does not fit: {row.reason}.", errors=row.errors)


def _shown(tx: Transaction, dataset: Dataset, rows: Sequence[Row]) -> list[Quarantined]:
    """Return rows as the caller may see them: a masked value may stand anywhere in what did not fit."""
    contents: Sequence[str | None] = [None] * len(rows)
    if shown_whole(tx, dataset):
        contents = open_rows(tx, dataset, [(row["id"], _kept(row)) for row in rows])
    return [
        Quarantined.model_validate(
            {**row, "content": content and from_json(content, allow_inf_nan=True)}
        )
        for row, content in zip(rows, contents, strict=True)
    ]


def _kept(row: Row) -> Kept:
    sealed = row["sealed"]
    return Kept(row["content"], None if sealed is None else bytes(sealed), row["data_key"])


def _stored(kept: Kept) -> dict[str, Any]:
    return {"content": kept.clear, "sealed": kept.sealed, "data_key": kept.data_key}
