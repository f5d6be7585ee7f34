"""POST /v1/nexus/api-keys/{key}/rotation: replace an API key of the caller; both work for 7 days."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.audit import record
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.api_keys import IssuedApiKey
from datapunk.nexus.api_keys import rotate_api_key as rotate

app, handler = http_function(
    "nexus.rotate_api_key", raises=(ConflictError, ForbiddenError, NotFoundError)
)


@app.post("/v1/nexus/api-keys/<key>/rotation", status_code=201, tags=["nexus"])
def rotate_api_key(
    key: Annotated[str, Path(pattern="^[0-9A-Za-z]{8}$")],
) -> Response[IssuedApiKey]:
    """Issue a key with the same name, scopes and lifetime; 409 when that was done before.

    The old key works for 7 more days. The new one is in this answer and nowhere else.
    """
    with transaction() as tx:
        issued = rotate(tx, key)
        old = f"/v1/nexus/api-keys/{key}/rotation"
        record(tx, "nexus.rotate_api_key", old, detail={"successor": issued.id})
    return Response(
        status_code=201,
        content_type="application/json",
        body=issued,
        headers={"Location": f"/v1/nexus/api-keys/{issued.id}"},
    )
