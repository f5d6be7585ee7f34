"""GET and POST /v1/nexus/sign-in: the sign-in page, and sign-in with e-mail address and password."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.cookies import read_cookie, set_cookie
from datapunk.errors import (
    DatapunkError,
    ForbiddenError,
    InvalidInputError,
    TooManyRequestsError,
    UnauthenticatedError,
)
from datapunk.forms import FORM, read_form
from datapunk.http import http_function
from datapunk.nexus import sessions
from datapunk.nexus import sign_in_page as page
from datapunk.nexus.federation.providers import provider_labels
from datapunk.nexus.sign_in import location_of, own_path
from datapunk.nexus.sign_in import sign_in as check_password
from datapunk.problems import retry_headers
from pydantic import SecretStr

FAILURES = (UnauthenticatedError, TooManyRequestsError)
HTML = "text/html; charset=utf-8"
app, handler = http_function(
    "nexus.sign_in",
    accepts=(FORM,),
    produces=("text/html",),
    raises=(*FAILURES, ForbiddenError, InvalidInputError),
)


@app.get("/v1/nexus/sign-in", tags=["nexus"])
def show_page(return_to: Annotated[str | None, Query(max_length=4096)] = None) -> Response[str]:
    """Return the page to sign in on; `return_to`, a path of this API, is where it leads."""
    return _page(200, own_path(return_to))


@app.post("/v1/nexus/sign-in", status_code=303, tags=["nexus"])
def sign_in() -> Response[str]:
    """Begin a session and lead to `return_to`; the form comes from the page, with its `csrf_token`."""
    form, cookies = read_form(app.body().content), app.header("cookie")
    came = {"origin": app.header("origin"), "host": app.header("host")}
    page.check_form_is_ours(form.get("csrf_token"), cookies=cookies, **came)
    return_to, email = own_path(form.get("return_to")), form.get("email", "").strip()
    address = app.current_event.request_context.identity.source_ip or ""
    try:
        user = check_password(email, SecretStr(form.get("password", "")), address=address)
    except FAILURES as error:
        return _page(error.status, return_to, email=email, error=error)
    if earlier := sessions.read_session(read_cookie(cookies) or ""):
        sessions.end_session(earlier.user_id, earlier.id)
    agent = app.header("user-agent") or ""
    value, _ = sessions.start_session(user, address=address, agent=agent)
    cookie = set_cookie(value, seconds=sessions.SECONDS)
    return Response(303, headers=page.redirect_headers(location_of(return_to), cookie), body="")


def _page(
    status: int, return_to: str, *, email: str = "", error: DatapunkError | None = None
) -> Response[str]:
    told, token = error.detail if error else "", page.new_csrf_token()
    shown = {"email": email, "error": told, "return_to": return_to, "csrf_token": token}
    body = page.sign_in_page(providers=provider_labels(), **shown)
    headers = page.page_headers(token) | (retry_headers(error) if error else {})
    challenge = {"WWW-Authenticate": "Cookie"} if status == UnauthenticatedError.status else {}
    return Response(status, HTML, body, headers | challenge)
