"""GET /v1/nexus/routes/{route}/status: the instances behind a rule, what they get, and how they are."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME
from datapunk.nexus.routing.status import RouteStatus, status_of
from datapunk.nexus.routing.storage import find_route

app, handler = http_function("nexus.get_route_status", raises=(NotFoundError,))


@app.get("/v1/nexus/routes/<route>/status", tags=["nexus"])
def get_route_status(route: Annotated[str, Path(pattern=NAME)]) -> RouteStatus:
    """Return weights with their reasons, failures, ejections, and the state of the breaker."""
    with transaction() as tx:
        found = find_route(tx, route)
    return status_of(found, app.caller.tenant)
