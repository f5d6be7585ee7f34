"""GET /v1/lake/datasets/{dataset}/records: filtered, ordered, paged; as JSON, NDJSON or CSV."""

from typing import Annotated
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function, negotiate
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.filters import QUERY_PARAMETERS, read_query
from datapunk.lake.parsing import CSV, JSON, NDJSON
from datapunk.lake.query import query_records as run_query
from datapunk.lake.versions import find_version, outputs_of
from datapunk.settings import settings

MEDIA_TYPES = (JSON, NDJSON, CSV)
app, handler = http_function(
    "lake.query_records",
    produces=MEDIA_TYPES,
    raises=(NotFoundError,),
    parameters=QUERY_PARAMETERS,
)


@app.get("/v1/lake/datasets/<dataset>/records", tags=["lake"])
def query_records(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    version: Annotated[int | None, Header(alias="Dataset-Version", ge=1, le=2**31 - 1)] = None,
) -> Response[str]:
    """Return a page of records. Filters are `column=operator.value`, as PostgREST writes them.

    With `Dataset-Version` all columns are those of that version, under the names they had.
    """
    media_type = negotiate(app.header("accept"), MEDIA_TYPES, JSON)
    parameters = app.query()
    with transaction() as tx:
        target = find_dataset(tx, dataset)
        every = outputs_of(target, find_version(tx, target, version)) if version else None
        query = read_query(parameters, target, settings().page_limit, every)
        page = run_query(tx, target, query, media_type)
    headers = {}
    if page.next_cursor is not None:
        link = urlencode({**parameters, "cursor": page.next_cursor}, doseq=True)
        headers["Link"] = f'<{app.current_event.path}?{link}>; rel="next"'
        headers["X-Next-Cursor"] = page.next_cursor
    return Response(status_code=200, content_type=page.media_type, body=page.body, headers=headers)
