"""GET /v1/nexus/users/{user}: one user with his roles, or 404."""

from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.users import UserAccount, find_user
from datapunk.policy import Resource, require

app, handler = http_function("nexus.get_user", raises=(ForbiddenError, NotFoundError))


@app.get("/v1/nexus/users/<user>", tags=["nexus"])
def get_user(user: UUID) -> Response[UserAccount]:
    """Return a user of the caller's tenant; who is no administrator sees himself only."""
    with transaction() as tx:
        found = find_user(tx, user)
    require("nexus.get_user", Resource(tenant=found.tenant, owner=found.principal))
    return Response(
        status_code=200,
        content_type="application/json",
        body=found,
        headers={"ETag": found.etag},
    )
