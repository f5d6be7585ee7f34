"""PUT /v1/nexus/routes/{route}: make or change a rule of the router; the next request follows it."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.audit import record
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError, PreconditionFailedError
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME, Route, RouteRule
from datapunk.nexus.routing.status import warnings_for
from datapunk.nexus.routing.storage import put_route as put

app, handler = http_function(
    "nexus.put_route", raises=(ConflictError, ForbiddenError, PreconditionFailedError)
)


@app.put("/v1/nexus/routes/<route>", tags=["nexus"])
def put_route(
    route: Annotated[str, Path(pattern=NAME)],
    rule: RouteRule,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[Route]:
    """Keep the rule as a new version. A service need not be registered yet; `warnings` says so."""
    with transaction() as tx:
        saved = put(tx, route, rule, if_match=if_match)
        place = f"/v1/nexus/routes/{route}"
        record(tx, "nexus.put_route", place, detail={"version": saved.version})
    told = saved.model_copy(update={"warnings": warnings_for(rule)})
    headers = {"ETag": saved.etag}
    return Response(status_code=200, content_type="application/json", body=told, headers=headers)
