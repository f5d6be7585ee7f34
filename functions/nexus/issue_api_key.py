"""POST /v1/nexus/api-keys: issue an API key that acts for the caller."""

from aws_lambda_powertools.event_handler import Response
from datapunk.audit import record
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError
from datapunk.http import http_function
from datapunk.nexus.api_keys import IssuedApiKey, NewApiKey
from datapunk.nexus.api_keys import issue_api_key as issue

app, handler = http_function("nexus.issue_api_key", raises=(ConflictError, ForbiddenError))


@app.post("/v1/nexus/api-keys", status_code=201, tags=["nexus"])
def issue_api_key(wanted: NewApiKey) -> Response[IssuedApiKey]:
    """Issue a key with scopes that the caller's own credentials have.

    `key` is in this answer and nowhere else: send it as `X-Api-Key`.
    """
    with transaction() as tx:
        issued = issue(tx, wanted)
        place = f"/v1/nexus/api-keys/{issued.id}"
        record(tx, "nexus.issue_api_key", place, detail={"scopes": " ".join(issued.scopes)})
    return Response(
        status_code=201,
        content_type="application/json",
        body=issued,
        headers={"Location": place},
    )
