"""GET /v1/nexus/routes/{route}: one rule of the router."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME, Route
from datapunk.nexus.routing.storage import find_route

app, handler = http_function("nexus.get_route", raises=(NotFoundError,))


@app.get("/v1/nexus/routes/<route>", tags=["nexus"])
def get_route(route: Annotated[str, Path(pattern=NAME)]) -> Response[Route]:
    """Return the rule; its `ETag` is what `If-Match` of a change names."""
    with transaction() as tx:
        found = find_route(tx, route)
    headers = {"ETag": found.etag}
    return Response(status_code=200, content_type="application/json", body=found, headers=headers)
