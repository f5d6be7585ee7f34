"""PUT /v1/nexus/principals/{principal}/roles/{role}: give a role to a user, client or service."""

from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.roles import Principal, Role, RoleAssignment
from datapunk.nexus.roles import assign_role as assign

app, handler = http_function("nexus.assign_role", raises=(ForbiddenError, NotFoundError))


@app.put("/v1/nexus/principals/<principal>/roles/<role>", tags=["nexus"])
def assign_role(principal: Principal, role: Role) -> RoleAssignment:
    """Give a principal a role in the caller's tenant; that it has it already is no error."""
    with transaction() as tx:
        return assign(tx, principal, role)
