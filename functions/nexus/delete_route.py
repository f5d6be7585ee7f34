"""DELETE /v1/nexus/routes/{route}: route nothing by a rule any more."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError, PreconditionFailedError
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME
from datapunk.nexus.routing.storage import delete_route as delete

app, handler = http_function(
    "nexus.delete_route", raises=(ForbiddenError, NotFoundError, PreconditionFailedError)
)


@app.delete("/v1/nexus/routes/<route>", status_code=204, tags=["nexus"])
def delete_route(
    route: Annotated[str, Path(pattern=NAME)],
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[str]:
    """Delete the rule from the next request on; its versions stay, and can be rolled back to."""
    with transaction() as tx:
        delete(tx, route, if_match=if_match)
    return Response(status_code=204, body="")
