"""The calls that the stream answers (`events/protos/stream.proto`): the operations of its HTTP doors."""

from __future__ import annotations

from datapunk.database import Transaction
from datapunk.events import BATCH, STRUCTURED
from datapunk.mesh.generated import stream_pb2
from datapunk.mesh.service import Service
from datapunk.outbox import emit, relay_now
from datapunk.paging import page_size
from datapunk.stream import events
from datapunk.stream.receiving import read_events


def publish_event(
    tx: Transaction, request: stream_pb2.PublishEventRequest
) -> stream_pb2.PublishEventResponse:
    """Commit events to the outbox, from which they are published at once or by its relay."""
    many = request.events.lstrip()[:1] == b"["
    received = read_events(BATCH if many else STRUCTURED, request.events, {})
    ids = [emit(tx, event).id for event in received]
    return stream_pb2.PublishEventResponse(accepted=len(ids), ids=ids)


def list_events(
    tx: Transaction, request: stream_pb2.ListEventsRequest
) -> stream_pb2.ListEventsResponse:
    """Return a page of events in the order they were stored."""
    wanted = events.EventFilter(
        type=request.type or None, source=request.source or None, subject=request.subject or None
    )
    page = events.list_events(
        tx,
        wanted,
        newest_first=not request.oldest_first,
        limit=page_size(request.limit),
        cursor=request.cursor or None,
    )
    return stream_pb2.ListEventsResponse(
        items=[item.model_dump_json().encode() for item in page.items],
        next_cursor=page.next_cursor or "",
    )


SERVICE = Service(
    name="stream",
    operations={"list_events": list_events, "publish_event": publish_event},
    afterwards=relay_now,
)
