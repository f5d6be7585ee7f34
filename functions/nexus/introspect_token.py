"""POST /v1/nexus/oauth/introspect: whether a token is good, and what it says (RFC 7662)."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.errors import UnauthenticatedError
from datapunk.forms import FORM
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.oauth.management import introspect_token as introspect
from datapunk.oauth.answers import json_answer, use_oauth_errors

app, handler = http_function(
    "nexus.introspect_token",
    accepts=(FORM,),
    raises=(UnauthenticatedError,),
    guard=Guard(mutates=False),
)
use_oauth_errors(app)


@app.post("/v1/nexus/oauth/introspect", tags=["nexus"])
def introspect_token() -> Response[dict[str, Any]]:
    """Return `active` and the token's claims, to a client of the same tenant."""
    return json_answer(introspect(app.body().content, app.header("Authorization")))
