"""POST /v1/nexus/tenants: create a tenant with its first administrator."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus.tenants import NewTenant, Tenant, require_operator
from datapunk.nexus.tenants import create_tenant as create

app, handler = http_function("nexus.create_tenant", raises=(ConflictError, ForbiddenError))


@app.post("/v1/nexus/tenants", status_code=201, tags=["nexus"])
def create_tenant(wanted: NewTenant) -> Response[Tenant]:
    """Create a tenant; only administrators of the platform's own tenant, `public`, may."""
    with transaction() as tx:
        require_operator(tx)
    with transaction(SYSTEM) as tx:
        tenant = create(tx, wanted)
    return Response(status_code=201, content_type="application/json", body=tenant)
