"""GET /v1/nexus/routes: the rules of the router by name, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.nexus.routing.rules import Route
from datapunk.nexus.routing.storage import list_routes as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_routes")


@app.get("/v1/nexus/routes", tags=["nexus"])
def list_routes(
    service: Annotated[
        str | None, Query(max_length=128, description="Only rules of this service.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Route]:
    """Return a page of rules as they are in force."""
    with transaction() as tx:
        return list_page(tx, service=service, limit=limit, cursor=cursor)
