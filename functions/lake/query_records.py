"""GET /v1/lake/datasets/{dataset}/records: filtered, ordered, paged; as JSON, NDJSON or CSV."""

from typing import Annotated
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
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
from datapunk.lake.versions import find_version, outputs_of
from datapunk.settings import settings

MEDIA_TYPES = (JSON, NDJSON, CSV)
app, handler = http_function(
    "lake.query_records",
    produces=MEDIA_TYPES,
    raises=(NotFoundError,),
    parameters=(*QUERY_PARAMETERS, PARAMETER),
)


@app.get("/v1/lake/datasets/<dataset>/records", tags=["lake"])
def query_records(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    version: Annotated[int | None, Header(alias="Dataset-Version", ge=1, le=2**31 - 1)] = None,
) -> Response[str]:
    """Return a page of records. Filters are `column=operator.value`, as PostgREST writes them.

    With `Dataset-Version` all columns are those of that version, under the names they had.
    """
    definition = read_definition(app.caller.tenant, dataset, app.header(HEADER))
    try:
        page = _page(definition, version)
    except DatapunkError as error:
        remembered = definition.cached and isinstance(error, InvalidInputError | NotFoundError)
        if not remembered and not is_outdated(error):
            raise
        # What is wrong may be what was known of the dataset: looked at once more, as it is now.
        definition = reload_definition(app.caller.tenant, dataset)
        page = _page(definition, version)
    headers = {}
    if page.next_cursor is not None:
        link = urlencode({**app.query(), "cursor": page.next_cursor}, doseq=True)
        headers["Link"] = f'<{app.current_event.path}?{link}>; rel="next"'
        headers["X-Next-Cursor"] = page.next_cursor
    return Response(status_code=200, content_type=page.media_type, body=page.body, headers=headers)


def _page(definition: Definition, version: int | None) -> RecordsPage:
    media_type = negotiate(app.header("accept"), MEDIA_TYPES, JSON)
    dataset, every = definition.dataset, None
    if version is not None:
        with transaction() as tx:
            every = outputs_of(dataset, find_version(tx, dataset, version))
    query = read_query(app.query(), dataset, settings().page_limit, every)
    with transaction() as tx:
        return run_query(tx, dataset, query, media_type)
