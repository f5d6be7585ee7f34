"""GET /v1/nexus/oauth/logout: sign the user out at a client's request."""

from aws_lambda_powertools.event_handler import Response
from datapunk.cookies import read_cookie, set_cookie
from datapunk.errors import MalformedRequestError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.oauth.logout import log_out
from datapunk.nexus.oauth.parameters import LOGOUT_PARAMETERS
from datapunk.oauth.answers import redirect, use_oauth_errors

app, handler = http_function(
    "nexus.end_session",
    produces=("text/plain",),
    raises=(MalformedRequestError,),
    parameters=LOGOUT_PARAMETERS,
    guard=Guard(mutates=True, open_query=True),
)
use_oauth_errors(app)


@app.get(
    "/v1/nexus/oauth/logout",
    tags=["nexus"],
    responses={200: {"description": "Signed out."}, 302: {"description": "Signed out."}},
)
def end_session() -> Response[str]:
    """End the session of an ID token (RP-Initiated Logout 1.0); go to the client's registered address."""
    target = log_out(app.query(), read_cookie(app.header("Cookie")))
    answer = redirect(target) if target else Response(200, "text/plain", "You are signed out.\n")
    answer.headers["Set-Cookie"] = set_cookie("", seconds=0)
    return answer
