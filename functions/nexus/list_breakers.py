"""GET /v1/nexus/breakers, /v1/nexus/breakers/stream: circuit breakers, shared by all environments."""

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.mesh import breaker
from datapunk.mesh.breaker import BreakerState
from datapunk.mesh.metrics_stream import EVENT_STREAM, event_stream
from datapunk.paging import Page

app, handler = http_function(
    "nexus.list_breakers", produces=(EVENT_STREAM,), guard=Guard(administrative=True)
)


@app.get("/v1/nexus/breakers", tags=["nexus"])
def list_breakers() -> Page[BreakerState]:
    """Return the state of every target that was called within a day."""
    return Page(items=breaker.states())


@app.get("/v1/nexus/breakers/stream", tags=["nexus"])
def stream_breakers() -> Response[str]:
    """Return the same as Hystrix's metrics stream; whoever reads it comes back for the next part."""
    return Response(status_code=200, content_type=EVENT_STREAM, body=event_stream(breaker.states()))
