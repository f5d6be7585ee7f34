"""PATCH /v1/nexus/users/{user}: change a user, in the state that `If-Match` names."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError, NotFoundError, PreconditionFailedError
from datapunk.http import http_function
from datapunk.nexus.signing_out import sign_out_everywhere
from datapunk.nexus.users import UserAccount, UserChanges
from datapunk.nexus.users import update_user as update

app, handler = http_function(
    "nexus.update_user",
    raises=(ForbiddenError, NotFoundError, ConflictError, PreconditionFailedError),
)


@app.patch("/v1/nexus/users/<user>", tags=["nexus"])
def update_user(
    user: UUID,
    changes: UserChanges,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[UserAccount]:
    """Change what is given; disabling a user or changing his password ends his sessions and tokens."""
    with transaction() as tx:
        changed = update(tx, user, changes, if_match=if_match)
        if changes.ends_sessions:
            sign_out_everywhere(tx, changed)
    return Response(
        status_code=200,
        content_type="application/json",
        body=changed,
        headers={"ETag": changed.etag},
    )
