"""GET /v1/nexus/tenants: the tenants the caller may know of, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.nexus.tenants import Tenant
from datapunk.nexus.tenants import list_tenants as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_tenants")


@app.get("/v1/nexus/tenants", tags=["nexus"])
def list_tenants(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Tenant]:
    """Return a page of tenants: the caller's own, or all for administrators of `public`."""
    with transaction() as tx:
        return list_page(tx, limit=limit, cursor=cursor)
