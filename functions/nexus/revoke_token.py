"""POST /v1/nexus/oauth/revoke: end a token, or with a refresh token all of its family (RFC 7009)."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.errors import UnauthenticatedError
from datapunk.forms import FORM
from datapunk.http import http_function
from datapunk.nexus.oauth.management import revoke_token as revoke
from datapunk.oauth.answers import json_answer, use_oauth_errors

app, handler = http_function("nexus.revoke_token", accepts=(FORM,), raises=(UnauthenticatedError,))
use_oauth_errors(app)


@app.post("/v1/nexus/oauth/revoke", tags=["nexus"])
def revoke_token() -> Response[dict[str, Any]]:
    """Revoke a token of the client. An unknown one is answered alike: it is worth nothing either."""
    revoke(app.body().content, app.header("Authorization"))
    return json_answer({})
