"""GET /v1/nexus/users: the users of the caller's tenant by e-mail address, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.nexus.users import UserAccount
from datapunk.nexus.users import list_users as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_users")


@app.get("/v1/nexus/users", tags=["nexus"])
def list_users(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[UserAccount]:
    """Return a page of users; who is no administrator sees himself only."""
    with transaction() as tx:
        return list_page(tx, limit=limit, cursor=cursor)
