"""GET /v1/nexus/api-keys: the caller's API keys by id, or all of his tenant's, page by page."""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.errors import ForbiddenError
from datapunk.http import http_function
from datapunk.nexus.api_keys import ApiKey
from datapunk.nexus.api_keys import list_api_keys as list_page
from datapunk.nexus.roles import require_administrator
from datapunk.paging import DEFAULT_LIMIT, Page
from datapunk.policy import Resource, require

app, handler = http_function("nexus.list_api_keys", raises=(ForbiddenError,))


@app.get("/v1/nexus/api-keys", tags=["nexus"])
def list_api_keys(
    owner: Annotated[
        Literal["me", "anyone"], Query(description="`anyone`: for administrators of the tenant.")
    ] = "me",
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[ApiKey]:
    """Return a page of keys, those that expired or were revoked too; never the keys themselves."""
    with transaction() as tx:
        if owner == "anyone":
            # Nobody's own: what may be done to it is what administrators may.
            require("nexus.list_api_keys", Resource(tenant=app.caller.tenant, owner="*"))
            require_administrator(tx)
            return list_page(tx, owner=None, limit=limit, cursor=cursor)
        return list_page(tx, owner=app.caller.principal, limit=limit, cursor=cursor)
