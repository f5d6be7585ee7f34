"""POST /v1/stream/events: publish CloudEvents: structured, batch or binary."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.events import BATCH, STRUCTURED
from datapunk.http import http_function
from datapunk.outbox import publish_events
from datapunk.stream.receiving import Accepted, read_events

app, handler = http_function(
    "stream.publish_event", accepts=(STRUCTURED, BATCH, "application/json")
)


@app.post("/v1/stream/events", status_code=202, tags=["stream"])
def publish_event() -> Response[Accepted]:
    """Publish events; 202 once they are kept, from where the broker gets them now or when it is back."""
    body = app.body()
    headers: dict[str, Any] = dict(app.current_event.headers)
    events = read_events(body.media_type, body.content, headers)
    publish_events(events)
    accepted = Accepted(accepted=len(events), ids=[event.id for event in events])
    return Response(status_code=202, content_type="application/json", body=accepted)
