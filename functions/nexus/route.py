"""ANY /v1/services/{service}/{path+}: send a request on to a registered service, by the operators' rules."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.context import remaining_seconds
from datapunk.errors import BadGatewayError, ForbiddenError, InvalidInputError, NotFoundError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.outgoing import Origin
from datapunk.nexus.routing.requests import AcceptedRequest
from datapunk.nexus.routing.router import route as send_on
from datapunk.nexus.routing.rules import METHODS
from datapunk.passthrough import raw_response, read_raw
from datapunk.registry.model import NAME
from datapunk.settings import settings

app, handler = http_function(
    "nexus.route",
    accepts=("*/*",),
    produces=("*/*",),
    raises=(NotFoundError, ForbiddenError, InvalidInputError, BadGatewayError),
    guard=Guard(open_query=True),
)


@app.route("/v1/services/<service>/<path+>", method=list(METHODS), tags=["nexus"])
def route(service: Annotated[str, Path(pattern=NAME)]) -> Response[Any]:
    """Answer as the service does; with 202 and the address of the answer where it takes longer than 28 s.

    Which services and paths there are, and what they need, operators say with `/v1/nexus/routes`.
    """
    raw = read_raw(app.current_event.raw_event)
    rest = raw.path.partition(f"/v1/services/{service}/")[2]
    secure = settings().issuer.startswith("https:")
    origin = Origin(app.caller, service, raw.source, raw.host, "https" if secure else "http")
    outcome = send_on(
        origin,
        Request(raw.method, rest, raw.query, raw.headers, raw.body),
        seconds=remaining_seconds(),
        trusted_network=lambda: settings().trusts(raw.source),
    )
    if isinstance(outcome, Answer):
        headers = [*outcome.headers, *outcome.notes.items()]
        return raw_response(outcome.status, headers, outcome.body)
    told = AcceptedRequest.of(outcome.accepted)
    where = {"Location": told.url, "Retry-After": "2"}
    if outcome.asked:
        where["Preference-Applied"] = "respond-async"
    return Response(status_code=202, content_type="application/json", body=told, headers=where)
