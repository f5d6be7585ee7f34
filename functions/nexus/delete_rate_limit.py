"""DELETE /v1/nexus/rate-limits/{tenant}/{operations}/{client}: take a limit back."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError, PreconditionFailedError
from datapunk.http import http_function
from datapunk.identity import SYSTEM
from datapunk.nexus.rate_limits import CLIENT, OPERATIONS, TENANT, LimitName, delete_limit

app, handler = http_function(
    "nexus.delete_rate_limit", raises=(NotFoundError, PreconditionFailedError)
)


@app.delete("/v1/nexus/rate-limits/<tenant>/<operations>/<client>", status_code=204, tags=["nexus"])
def delete_rate_limit(
    tenant: Annotated[str, Path(pattern=TENANT)],
    operations: Annotated[str, Path(pattern=OPERATIONS)],
    client: Annotated[str, Path(pattern=CLIENT)],
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[str]:
    """Let the next more general limit count again, the default at last."""
    with transaction(SYSTEM) as tx:
        delete_limit(tx, LimitName(tenant, operations, client), if_match=if_match)
    return Response(status_code=204, body="")
