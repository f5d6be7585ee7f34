"""GET /v1/stream/events: stored events, newest first, by type, source or subject."""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.paging import DEFAULT_LIMIT, Page
from datapunk.stream.events import EventFilter, StoredEvent
from datapunk.stream.events import list_events as list_page

app, handler = http_function("stream.list_events")

Name = Annotated[str | None, Query(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]+$")]


@app.get("/v1/stream/events", tags=["stream"])
def list_events(
    type: Name = None,  # noqa: A002 -- CloudEvents calls it so
    source: Name = None,
    subject: Name = None,
    order: Annotated[Literal["desc", "asc"], Query()] = "desc",
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[StoredEvent]:
    """Return a page of events in the order they were stored."""
    wanted = EventFilter(type=type, source=source, subject=subject)
    with transaction() as tx:
        return list_page(tx, wanted, newest_first=order == "desc", limit=limit, cursor=cursor)
