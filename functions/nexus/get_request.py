"""GET /v1/nexus/requests/{request}: the answer to a request that was completed in the background."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import BadGatewayError, ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.routing.requests import AcceptedRequest, answer_of, find
from datapunk.passthrough import raw_response, read_raw
from datapunk.policy import require
from datapunk.settings import settings

app, handler = http_function(
    "nexus.get_request",
    produces=("*/*",),
    raises=(NotFoundError, ForbiddenError, BadGatewayError),
)


@app.get("/v1/nexus/requests/<request>", tags=["nexus"])
def get_request(request: UUID) -> Response[Any]:
    """Return what the service answered, for a day and to the sender alone; 202 as long as it works on it."""
    with transaction() as tx:
        progress = find(tx, request)
    source = read_raw(app.current_event.raw_event).source
    require(progress.needs, trusted_network=lambda: settings().trusts(source))
    if progress.state in ("waiting", "running"):
        told = AcceptedRequest.of(progress)
        headers = {"Retry-After": "2"}
        return Response(
            status_code=202, content_type="application/json", body=told, headers=headers
        )
    answer = answer_of(progress, "The service")
    expiry = ("x-request-expires", progress.expires_at.isoformat())
    return raw_response(answer.status, [*answer.headers, expiry], answer.body)
