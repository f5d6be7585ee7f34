"""GET /v1/nexus/sign-in/{provider}/callback: come back from a provider, signed in."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.cookies import read_cookie, set_cookie
from datapunk.errors import (
    DatapunkError,
    ForbiddenError,
    MalformedRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus import sessions
from datapunk.nexus.federation import flow
from datapunk.nexus.federation.accounts import user_of
from datapunk.nexus.federation.providers import NAME, find_provider
from datapunk.nexus.sign_in import location_of, record_attempt

NAMES = ("code", "state", "iss", "error")
# RFC 6749, appendix A: what a provider answers is printable ASCII.
TEXT = {"type": "string", "maxLength": 4096, "pattern": "^[ -~]*$"}
PARAMETERS: list[dict[str, Any]] = [{"name": name, "in": "query", "schema": TEXT} for name in NAMES]
app, handler = http_function(
    "nexus.complete_federated_sign_in",
    parameters=PARAMETERS,
    # It signs someone in; and providers add parameters of their own.
    guard=Guard(mutates=True, open_query=True),
    raises=(NotFoundError, ForbiddenError, UnauthenticatedError, MalformedRequestError),
)


@app.get("/v1/nexus/sign-in/<provider>/callback", status_code=303, tags=["nexus"])
def complete_federated_sign_in(provider: Annotated[str, Path(pattern=NAME)]) -> Response[str]:
    """Begin the session of whom the provider names, and lead to where sign-in was to end."""
    cookies, query = app.header("cookie"), app.query()
    answer = {name: query[name][0] for name in NAMES if len(query.get(name, ())) == 1}
    asked = find_provider(provider)
    address = app.current_event.request_context.identity.source_ip or ""
    try:
        identity, return_to = flow.complete(asked, answer, read_cookie(cookies, flow.COOKIE))
        user = user_of(asked, identity)
    except DatapunkError:
        record_attempt("denied", email="", address=address, method=asked.name)
        raise
    record_attempt("done", email=user.email, address=address, user=user, method=asked.name)
    agent = app.header("user-agent") or ""
    value, _ = sessions.start_session(user, method=asked.name, address=address, agent=agent)
    kept = [
        set_cookie(value, seconds=sessions.SECONDS),
        set_cookie("", seconds=0, purpose=flow.COOKIE),
    ]
    headers: dict[str, str | list[str]] = {"Location": location_of(return_to), "Set-Cookie": kept}
    return Response(status_code=303, body="", headers={**headers, "Cache-Control": "no-store"})
