"""DELETE /v1/nexus/api-keys/{key}: refuse an API key from now on."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.api_keys import find_key
from datapunk.nexus.api_keys import revoke_api_key as revoke
from datapunk.policy import Resource, require

app, handler = http_function("nexus.revoke_api_key", raises=(ForbiddenError, NotFoundError))


@app.delete("/v1/nexus/api-keys/<key>", status_code=204, tags=["nexus"])
def revoke_api_key(key: Annotated[str, Path(pattern="^[0-9A-Za-z]{8}$")]) -> Response[str]:
    """Revoke one of the caller's keys, or as an administrator any of the tenant's."""
    with transaction() as tx:
        found = find_key(tx, key)
        require("nexus.revoke_api_key", Resource(tenant=found.tenant, owner=found.owner))
        revoke(tx, key)
    return Response(status_code=204, body="")
