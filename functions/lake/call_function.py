"""GET, HEAD and POST /v1/lake/rest/rpc/{function}: a registered function called in PostgREST's words."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import UnsupportedMediaTypeError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.lake.functions.calling import Call, answer_call
from datapunk.lake.parsing import JSON
from datapunk.lake.rest.described import CALL_RESPONSES, READ_PARAMETERS
from datapunk.lake.rest.errors import SHAPE
from datapunk.lake.rest.requests import MEDIA_TYPES
from datapunk.settings import settings

PATH = "/v1/lake/rest/rpc/<function>"
HEADERS = ("accept", "prefer", "range", "range-unit")
app, handler = http_function(
    "lake.call_function",
    accepts=(JSON,),
    produces=MEDIA_TYPES,
    parameters=READ_PARAMETERS,
    guard=Guard(mutates=False),
)
app.needs_body = False
app.write_errors_as(SHAPE)


@app.get(PATH, tags=["lake"], responses=CALL_RESPONSES)
def call_function(function: str) -> Response[str]:
    """Call the function with those query parameters that it has; the others are about its result."""
    return _call(function, None, with_body=True)


@app.head(PATH, tags=["lake"], responses=CALL_RESPONSES)
def head_function(function: str) -> Response[str]:
    """Return what `GET` would, without the result: how many rows it has."""
    return _call(function, None, with_body=False)


@app.post(PATH, tags=["lake"], responses=CALL_RESPONSES)
def post_function(function: str) -> Response[str]:
    """Call the function with the members of a JSON object; query parameters are about its result."""
    return _call(function, _content(), with_body=True)


def _content() -> bytes:
    content = app.received.content()
    if content and app.received.content_type()[0] != JSON:
        raise UnsupportedMediaTypeError(f"Arguments are a JSON object, sent as {JSON}.")
    return content


def _call(name: str, content: bytes | None, *, with_body: bool) -> Response[str]:
    header = {name: app.header(name) for name in HEADERS}
    call = Call(app.query(), header, content, with_body)
    with transaction() as tx:
        found = answer_call(tx, name, call, settings().page_limit)
    return Response(found.status, found.media_type, body=found.body, headers=found.headers)
