"""GET /v1/nexus/rate-limits: the limits that were set, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus.rate_limits import RateLimit, list_limits
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_rate_limits")


@app.get("/v1/nexus/rate-limits", tags=["nexus"])
def list_rate_limits(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[RateLimit]:
    """Return a page of the limits of all tenants; where none is set, 1,000 requests pass in 60 s."""
    with transaction(SYSTEM) as tx:
        return list_limits(tx, limit=limit, cursor=cursor)
