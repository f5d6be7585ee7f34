"""PUT /v1/nexus/rate-limits/{tenant}/{operations}/{client}: set a limit, in the state `If-Match` names."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.database import transaction
from datapunk.errors import PreconditionFailedError
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus.rate_limits import (
    CLIENT,
    OPERATIONS,
    TENANT,
    LimitName,
    RateLimit,
    WantedLimit,
    set_limit,
)

app, handler = http_function("nexus.set_rate_limit", raises=(PreconditionFailedError,))


@app.put("/v1/nexus/rate-limits/<tenant>/<operations>/<client>", tags=["nexus"])
def set_rate_limit(
    tenant: Annotated[str, Path(pattern=TENANT)],
    operations: Annotated[str, Path(pattern=OPERATIONS)],
    client: Annotated[str, Path(pattern=CLIENT)],
    wanted: WantedLimit,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[RateLimit]:
    """Set how many requests pass; it counts everywhere within a minute. `*` stands for any."""
    with transaction(SYSTEM) as tx:
        limit = set_limit(tx, LimitName(tenant, operations, client), wanted, if_match=if_match)
    return Response(
        status_code=200,
        content_type="application/json",
        body=limit,
        headers={"ETag": limit.etag},
    )
