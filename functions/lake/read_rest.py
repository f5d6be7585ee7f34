"""GET and HEAD /v1/lake/rest/{dataset}: records of a dataset, asked for in PostgREST's words."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.lake.rest.described import READ_PARAMETERS, READ_RESPONSES
from datapunk.lake.rest.errors import SHAPE
from datapunk.lake.rest.reading import read_records
from datapunk.lake.rest.requests import MEDIA_TYPES, read_request
from datapunk.lake.rest.resolving import find_target
from datapunk.settings import settings

PATH = "/v1/lake/rest/<dataset>"
HEADERS = ("accept", "prefer", "range", "range-unit")
app, handler = http_function("lake.read_rest", produces=MEDIA_TYPES, parameters=READ_PARAMETERS)
app.write_errors_as(SHAPE)


@app.get(PATH, tags=["lake"], responses=READ_RESPONSES)
def read_rest(dataset: str) -> Response[str]:
    """Return records as PostgREST would: selected, filtered, embedded, aggregated, in order."""
    return _read(dataset, with_body=True)


@app.head(PATH, tags=["lake"], responses=READ_RESPONSES)
def head_rest(dataset: str) -> Response[str]:
    """Return what `GET` would, without the records: how many there are."""
    return _read(dataset, with_body=False)


def _read(dataset: str, *, with_body: bool) -> Response[str]:
    request = read_request(app.query(), {name: app.header(name) for name in HEADERS})
    most = settings().page_limit
    with transaction() as tx:
        target = find_target(tx, dataset)
        found = read_records(tx, target, request, most=most, with_body=with_body)
    return Response(found.status, found.media_type, body=found.body, headers=found.headers)
