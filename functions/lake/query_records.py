"""GET /v1/lake/datasets/{dataset}/records: filtered, ordered, paged; as JSON, NDJSON or CSV."""

from typing import Annotated
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.cache.freshness import HEADER, PARAMETER
from datapunk.database import transaction
from datapunk.database.failures import is_outdated
from datapunk.errors import DatapunkError, InvalidInputError, NotFoundError
from datapunk.http import http_function, negotiate
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.definitions import Definition, read_definition, reload_definition
from datapunk.lake.filters import QUERY_PARAMETERS, read_query
from datapunk.lake.parsing import CSV, JSON, NDJSON
from datapunk.lake.query import RecordsPage
from datapunk.lake.query import query_records as run_query
from datapunk.settings import settings

MEDIA_TYPES = (JSON, NDJSON, CSV)
app, handler = http_function(
    "lake.query_records",
    produces=MEDIA_TYPES,
    raises=(NotFoundError,),
    parameters=(*QUERY_PARAMETERS, PARAMETER),
)


@app.get("/v1/lake/datasets/<dataset>/records", tags=["lake"])
def query_records(dataset: Annotated[str, Path(pattern=IDENTIFIER)]) -> Response[str]:
    """Return a page of records. Filters are `column=operator.value`, as PostgREST writes them."""
    definition = read_definition(app.caller.tenant, dataset, app.header(HEADER))
    try:
        page = _page(definition)
    except DatapunkError as error:
        if not definition.cached or not (
            isinstance(error, InvalidInputError) or is_outdated(error)
        ):
            raise
        # What is wrong may be what was remembered of the dataset: looked at once more, as it is now.
        definition = reload_definition(app.caller.tenant, dataset)
        page = _page(definition)
    headers = {}
    if page.next_cursor is not None:
        link = urlencode({**app.query(), "cursor": page.next_cursor}, doseq=True)
        headers["Link"] = f'<{app.current_event.path}?{link}>; rel="next"'
        headers["X-Next-Cursor"] = page.next_cursor
    return Response(status_code=200, content_type=page.media_type, body=page.body, headers=headers)


def _page(definition: Definition) -> RecordsPage:
    media_type = negotiate(app.header("accept"), MEDIA_TYPES, JSON)
    query = read_query(app.query(), definition.dataset, settings().page_limit)
    with transaction() as tx:
        return run_query(tx, definition.dataset, query, media_type)
