"""DELETE /v1/nexus/principals/{principal}/roles/{role}: take a role from a user, client or service."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus import revocations
from datapunk.nexus.roles import PRINCIPAL, Role
from datapunk.nexus.roles import revoke_role as revoke

app, handler = http_function(
    "nexus.revoke_role", raises=(ForbiddenError, NotFoundError, ConflictError)
)


@app.delete("/v1/nexus/principals/<principal>/roles/<role>", status_code=204, tags=["nexus"])
def revoke_role(principal: Annotated[str, Path(pattern=PRINCIPAL)], role: Role) -> Response[str]:
    """Take a role away, and the access tokens that name it; never from the last administrator."""
    with transaction() as tx:
        revoke(tx, principal, role)
    with transaction(SYSTEM) as tx:
        revocations.revoke_issued(tx, principal)
    return Response(status_code=204, body="")
