"""POST /v1/nexus/routes/{route}/rollback: make an earlier version of a rule count again."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.audit import record
from datapunk.database import transaction
from datapunk.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PreconditionFailedError,
)
from datapunk.http import http_function
from datapunk.nexus.routing.rules import NAME, Route
from datapunk.nexus.routing.storage import roll_back
from pydantic import BaseModel, ConfigDict, Field

app, handler = http_function(
    "nexus.roll_back_route",
    raises=(ConflictError, ForbiddenError, NotFoundError, PreconditionFailedError),
)


class Rollback(BaseModel):
    """The version that is to count again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 1}]})

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


@app.post("/v1/nexus/routes/<route>/rollback", tags=["nexus"])
def roll_back_route(
    route: Annotated[str, Path(pattern=NAME)],
    wanted: Rollback,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[Route]:
    """Keep the rule of that version as a new one, which the next request follows."""
    with transaction() as tx:
        saved = roll_back(tx, route, wanted.version, if_match=if_match)
        detail = {"version": saved.version, "of": wanted.version}
        record(tx, "nexus.roll_back_route", f"/v1/nexus/routes/{route}", detail=detail)
    headers = {"ETag": saved.etag}
    return Response(status_code=200, content_type="application/json", body=saved, headers=headers)
