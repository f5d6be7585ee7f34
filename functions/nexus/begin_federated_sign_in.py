"""GET /v1/nexus/sign-in/{provider}: go and sign in at a provider such as Google or GitHub."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.cookies import set_cookie
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.nexus.federation import flow
from datapunk.nexus.federation.providers import NAME, find_provider
from datapunk.nexus.sign_in import own_path

app, handler = http_function("nexus.begin_federated_sign_in", raises=(NotFoundError,))


@app.get("/v1/nexus/sign-in/<provider>", status_code=303, tags=["nexus"])
def begin_federated_sign_in(
    provider: Annotated[str, Path(pattern=NAME)],
    return_to: Annotated[str | None, Query(max_length=4096)] = None,
) -> Response[str]:
    """Lead the browser to the provider; `return_to`, a path of this API, is where sign-in ends."""
    begun = flow.begin(find_provider(provider), own_path(return_to))
    cookie = set_cookie(begun.state, seconds=flow.SECONDS, purpose=flow.COOKIE)
    headers: dict[str, str | list[str]] = {
        "Location": begun.location,
        "Set-Cookie": [cookie],
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return Response(status_code=303, body="", headers=headers)
