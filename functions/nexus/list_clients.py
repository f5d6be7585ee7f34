"""GET /v1/nexus/oauth/clients: the tenant's OAuth clients by id, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.nexus.oauth.clients import OAuthClient
from datapunk.nexus.oauth.clients import list_clients as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_clients")


@app.get("/v1/nexus/oauth/clients", tags=["nexus"])
def list_clients(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[OAuthClient]:
    """Return a page of clients, without secrets; empty for who is no administrator."""
    with transaction() as tx:
        return list_page(tx, limit=limit, cursor=cursor)
