"""POST, PUT, PATCH and DELETE /v1/lake/rest/{dataset}: records written in PostgREST's words."""

from collections.abc import Callable
from functools import partial

from aws_lambda_powertools.event_handler import Response
from datapunk.database import Transaction, transaction
from datapunk.http import http_function
from datapunk.lake.datasets import Dataset
from datapunk.lake.ingest import allowed_rows
from datapunk.lake.parsing import CSV, JSON
from datapunk.lake.rest import described, writing
from datapunk.lake.rest.documents import RestAnswer
from datapunk.lake.rest.errors import SHAPE
from datapunk.lake.rest.requests import GEOJSON, MEDIA_TYPES, RestRequest, read_request
from datapunk.lake.rest.resolving import find_target
from datapunk.outbox import relay_now

PATH = "/v1/lake/rest/<dataset>"
app, handler = http_function(
    "lake.write_rest",
    accepts=(JSON, CSV, GEOJSON),
    produces=MEDIA_TYPES,
    parameters=described.WRITE_PARAMETERS,
)
app.write_errors_as(SHAPE)


@app.post(PATH, tags=["lake"], responses=described.INSERT_RESPONSES)
def insert(dataset: str) -> Response[str]:
    """Insert records, all or none; with `Prefer: resolution` merge them into those that exist."""
    path, most = app.current_event.path, allowed_rows(dataset)
    return _write(dataset, partial(writing.insert_rows, body=_body(), path=path, most=most))


@app.put(PATH, tags=["lake"], responses=described.WRITE_RESPONSES)
def put(dataset: str) -> Response[str]:
    """Insert or replace the one record whose key the filters name."""
    allowed_rows(dataset)
    return _write(dataset, partial(writing.put_row, body=_body()))


@app.patch(PATH, tags=["lake"], responses=described.WRITE_RESPONSES)
def update(dataset: str) -> Response[str]:
    """Change the records that the filters find."""
    return _write(dataset, partial(writing.update_rows, body=_body()))


@app.delete(PATH, tags=["lake"], responses=described.WRITE_RESPONSES)
def delete(dataset: str) -> Response[str]:
    """Delete the records that the filters find."""
    return _write(dataset, writing.delete_rows)


def _body() -> writing.RestBody:
    body = app.body()
    return writing.RestBody(body.media_type, body.charset, body.content)


def _write(
    dataset: str, write: Callable[[Transaction, Dataset, RestRequest], RestAnswer]
) -> Response[str]:
    request = read_request(app.query(), {name: app.header(name) for name in ("accept", "prefer")})
    with transaction() as tx:
        found = write(tx, find_target(tx, dataset, hold=True), request)
    relay_now()
    return Response(found.status, found.media_type, body=found.body, headers=found.headers)
