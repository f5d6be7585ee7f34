"""PUT /v1/nexus/principals/{principal}/roles/{role}: give a role to a user, client or service."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.roles import PRINCIPAL, Role, RoleAssignment
from datapunk.nexus.roles import assign_role as assign

app, handler = http_function("nexus.assign_role", raises=(ForbiddenError, NotFoundError))


@app.put("/v1/nexus/principals/<principal>/roles/<role>", tags=["nexus"])
def assign_role(principal: Annotated[str, Path(pattern=PRINCIPAL)], role: Role) -> RoleAssignment:
    """Give a principal a role in the caller's tenant; that it has it already is no error."""
    with transaction() as tx:
        return assign(tx, principal, role)
