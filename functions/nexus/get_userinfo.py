"""GET /v1/nexus/oauth/userinfo: about the user of an access token, as far as its scopes go."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.errors import ForbiddenError, UnauthenticatedError
from datapunk.http import http_function
from datapunk.nexus.oauth.userinfo import userinfo
from datapunk.oauth.answers import json_answer

app, handler = http_function("nexus.get_userinfo", raises=(UnauthenticatedError, ForbiddenError))


@app.get("/v1/nexus/oauth/userinfo", tags=["nexus"])
def get_userinfo() -> Response[dict[str, Any]]:
    """Return `sub`, with scope `profile` the name, with scope `email` the address."""
    return json_answer(userinfo(app.header("Authorization")))
