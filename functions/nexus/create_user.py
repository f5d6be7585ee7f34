"""POST /v1/nexus/users: create a user of the caller's tenant."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError
from datapunk.http import http_function
from datapunk.nexus.users import NewUser, UserAccount
from datapunk.nexus.users import create_user as create

app, handler = http_function("nexus.create_user", raises=(ConflictError, ForbiddenError))


@app.post("/v1/nexus/users", status_code=201, tags=["nexus"])
def create_user(wanted: NewUser) -> Response[UserAccount]:
    """Create a user with roles; 409 when the e-mail address is taken."""
    with transaction() as tx:
        user = create(tx, wanted)
    return Response(
        status_code=201,
        content_type="application/json",
        body=user,
        headers={"Location": f"/v1/nexus/users/{user.id}", "ETag": user.etag},
    )
