"""GET /v1/nexus/breakers: circuit breakers and bulkheads, as all environments share them."""

from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.mesh import breaker
from datapunk.mesh.breaker import BreakerState
from datapunk.paging import Page

app, handler = http_function("nexus.list_breakers", guard=Guard(administrative=True))


@app.get("/v1/nexus/breakers", tags=["nexus"])
def list_breakers() -> Page[BreakerState]:
    """Return the state of every target that was called within a day."""
    return Page(items=breaker.states())
