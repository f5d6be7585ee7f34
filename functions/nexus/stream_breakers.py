"""GET /v1/nexus/breakers/stream: circuit breakers as Hystrix's metrics stream, a round for each request."""

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.mesh import breaker
from datapunk.mesh.metrics_stream import EVENT_STREAM, event_stream

app, handler = http_function(
    "nexus.stream_breakers", produces=(EVENT_STREAM,), guard=Guard(administrative=True)
)


@app.get("/v1/nexus/breakers/stream", tags=["nexus"])
def stream_breakers() -> Response[str]:
    """Return one round of the stream; whoever reads it comes back for the next."""
    body = event_stream(breaker.states())
    return Response(status_code=200, content_type=EVENT_STREAM, body=body)
