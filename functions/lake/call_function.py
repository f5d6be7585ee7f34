"""GET, HEAD and POST /v1/lake/rest/rpc/{function}: a registered function called in PostgREST's words."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import UnsupportedMediaTypeError
from datapunk.http import http_function
from datapunk.lake.functions.arguments import from_body, from_query, split_query
from datapunk.lake.functions.calling import call_function as call
from datapunk.lake.functions.calling import find_called
from datapunk.lake.functions.definition import Function
from datapunk.lake.parsing import JSON
from datapunk.lake.rest.described import CALL_RESPONSES, READ_PARAMETERS
from datapunk.lake.rest.errors import SHAPE
from datapunk.lake.rest.requests import MEDIA_TYPES, read_request
from datapunk.settings import settings

PATH = "/v1/lake/rest/rpc/<function>"
HEADERS = ("accept", "prefer", "range", "range-unit")
Query = dict[str, Any]
app, handler = http_function(
    "lake.call_function", accepts=(JSON,), produces=MEDIA_TYPES, parameters=READ_PARAMETERS
)
app.needs_body = False
app.write_errors_as(SHAPE)


@app.get(PATH, tags=["lake"], responses=CALL_RESPONSES)
def call_function(function: str) -> Response[str]:
    """Call the function with those query parameters that it has; the others are about its result."""
    return _call(function, _queried, with_body=True)


@app.head(PATH, tags=["lake"], responses=CALL_RESPONSES)
def head_function(function: str) -> Response[str]:
    """Return what `GET` would, without the result: how many rows it has."""
    return _call(function, _queried, with_body=False)


@app.post(PATH, tags=["lake"], responses=CALL_RESPONSES)
def post_function(function: str) -> Response[str]:
    """Call the function with the members of a JSON object; query parameters are about its result."""
    return _call(function, _posted, with_body=True)


def _queried(function: Function) -> tuple[Query, Query]:
    given, rest = split_query(function, app.query())
    return from_query(function, given), rest


def _posted(function: Function) -> tuple[Query, Query]:
    content = app.received.content()
    if content and app.received.content_type()[0] != JSON:
        raise UnsupportedMediaTypeError(f"Arguments are a JSON object, sent as {JSON}.")
    return from_body(function, content), app.query()


def _call(
    name: str, read: Callable[[Function], tuple[Query, Query]], *, with_body: bool
) -> Response[str]:
    header = {name: app.header(name) for name in HEADERS}
    with transaction() as tx:
        function = find_called(tx, name, app.query())
        arguments, rest = read(function)
        request, most = read_request(rest, header), settings().page_limit
        found = call(tx, function, arguments, request, most=most, with_body=with_body)
    return Response(found.status, found.media_type, body=found.body, headers=found.headers)
