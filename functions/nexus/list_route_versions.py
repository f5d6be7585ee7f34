"""GET /v1/nexus/routes/{route}/versions: what a rule was, the newest version first, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME, RouteVersion
from datapunk.nexus.routing.storage import list_versions
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_route_versions", raises=(NotFoundError,))


@app.get("/v1/nexus/routes/<route>/versions", tags=["nexus"])
def list_route_versions(
    route: Annotated[str, Path(pattern=NAME)],
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[RouteVersion]:
    """Return a page of versions; a rule that was deleted has them too."""
    with transaction() as tx:
        return list_versions(tx, route, limit=limit, cursor=cursor)
