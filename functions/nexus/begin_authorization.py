"""GET /v1/nexus/oauth/authorize: a code for the client, once the user has signed in."""

from aws_lambda_powertools.event_handler import Response
from datapunk.cookies import read_cookie
from datapunk.errors import MalformedRequestError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.oauth.authorization import AUTHORIZE_PATH, authorize
from datapunk.nexus.oauth.parameters import AUTHORIZATION_PARAMETERS
from datapunk.oauth.answers import redirect, use_oauth_errors

app, handler = http_function(
    "nexus.begin_authorization",
    raises=(MalformedRequestError,),
    parameters=AUTHORIZATION_PARAMETERS,
    # Unknown parameters are ignored (RFC 6749, 3.1); a code is an effect, though of a GET.
    guard=Guard(mutates=True, open_query=True),
)
use_oauth_errors(app)


@app.get(AUTHORIZE_PATH, status_code=302, tags=["nexus"])
def begin_authorization() -> Response[str]:
    """Redirect to the client with a code or an error, or to the sign-in page first.

    Only when the client or its address is not known, nobody is redirected: 400.
    """
    return redirect(authorize(app.query(), read_cookie(app.header("Cookie"))))
