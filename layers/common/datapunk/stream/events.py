"""The event store: every event once, in the order of arrival."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Json, Jsonb
from pydantic import BaseModel, model_serializer
from pydantic_core import to_json

from datapunk.database import Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError
from datapunk.events import CloudEvent
from datapunk.paging import Page, decode_cursor, encode_cursor

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "stream.events"
_BIGINT = 2**63


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; None means any."""

    type: str | None = None
    source: str | None = None
    subject: str | None = None


class StoredEvent(BaseModel):
    """An event with its place in the store. Extension attributes stand beside the others."""

    position: int
    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = None
    data_base64: str | None = None
    extensions: dict[str, str | int | bool]
    stored_at: datetime

    @model_serializer(mode="wrap")
    def _as_cloud_event(self, serialize: Any) -> dict[str, Any]:
        """Leave absent attributes out and put extensions where CloudEvents has them."""
        plain = {name: value for name, value in serialize(self).items() if value is not None}
        extensions = plain.pop("extensions", {})
        return {**extensions, **plain}


def append_event(tx: Transaction, event: CloudEvent) -> bool:
    """Store an event; False when the tenant has one of the same source and id."""
    stored = tx.execute(
        load_queries(_SQL)["append_event"],
        {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "datacontenttype": event.datacontenttype,
            "dataschema": event.dataschema,
            # not orjson: it refuses integers beyond 64 bits
            "data": None if event.data is None else Json(event.data, dumps=to_json),
            "data_base64": event.data_base64,
            "extensions": Jsonb(event.extensions),
        },
    )
    return stored == 1


def list_events(
    tx: Transaction,
    wanted: EventFilter,
    *,
    newest_first: bool,
    limit: int,
    cursor: str | None,
) -> Page[StoredEvent]:
    """Return a page of stored events. Raises InvalidInputError for a cursor of another list."""
    shape = f"{_LIST}:{newest_first}"
    after = _position(decode_cursor(shape, cursor, 1)[0]) if cursor else None
    statement = load_queries(_SQL)["newest_first" if newest_first else "oldest_first"]
    rows = tx.all(statement, {**asdict(wanted), "after": after, "limit": limit + 1})
    items = [StoredEvent.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(
        items=items, next_cursor=encode_cursor(shape, [items[-1].position]) if more else None
    )


def _position(value: Any) -> int:
    if isinstance(value, int) and 0 <= value < _BIGINT:
        return value
    errors = [FieldError("cursor", "is not a cursor", "cursor")]
    raise InvalidInputError("Not valid: cursor.", errors=errors)
