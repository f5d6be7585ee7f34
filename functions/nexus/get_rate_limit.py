"""GET /v1/nexus/rate-limits/{tenant}/{operations}/{client}: one limit that was set, or 404."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus.rate_limits import CLIENT, OPERATIONS, TENANT, LimitName, RateLimit, find_limit

app, handler = http_function("nexus.get_rate_limit", raises=(NotFoundError,))


@app.get("/v1/nexus/rate-limits/<tenant>/<operations>/<client>", tags=["nexus"])
def get_rate_limit(
    tenant: Annotated[str, Path(pattern=TENANT)],
    operations: Annotated[str, Path(pattern=OPERATIONS)],
    client: Annotated[str, Path(pattern=CLIENT)],
) -> Response[RateLimit]:
    """Return the limit set under exactly this name; `*` is part of a name here, it matches nothing else."""
    with transaction(SYSTEM) as tx:
        limit = find_limit(tx, LimitName(tenant, operations, client))
    return Response(
        status_code=200,
        content_type="application/json",
        body=limit,
        headers={"ETag": limit.etag},
    )
