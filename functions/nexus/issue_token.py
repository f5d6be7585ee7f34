"""POST /v1/nexus/oauth/token: a token for a code, a refresh token, another token, or a client's own proof."""

from aws_lambda_powertools.event_handler import Response
from datapunk.errors import UnauthenticatedError
from datapunk.forms import FORM
from datapunk.http import http_function
from datapunk.nexus.oauth.token_endpoint import issue_token as issue
from datapunk.nexus.tokens import IssuedToken
from datapunk.oauth.answers import json_answer, use_oauth_errors

app, handler = http_function("nexus.issue_token", accepts=(FORM,), raises=(UnauthenticatedError,))
use_oauth_errors(app)


@app.post("/v1/nexus/oauth/token", tags=["nexus"])
def issue_token() -> Response[IssuedToken]:
    """Answer a token request (RFC 6749, 3.2; RFC 8693). Errors are in OAuth's own shape."""
    return json_answer(issue(app.body().content, app.header("Authorization")))
