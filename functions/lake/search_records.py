"""POST /v1/lake/datasets/{dataset}/search: records by vectors, by words, or by both in one ranking."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.cache.freshness import HEADER
from datapunk.database import transaction
from datapunk.database.failures import is_outdated
from datapunk.errors import DatapunkError, InvalidInputError, NotFoundError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.definitions import Definition, read_definition, reload_definition
from datapunk.lake.search import search_records as search_in
from datapunk.lake.search_request import Search
from datapunk.settings import settings

app, handler = http_function(
    "lake.search_records", raises=(NotFoundError,), guard=Guard(mutates=False)
)


@app.post("/v1/lake/datasets/<dataset>/search", tags=["lake"])
def search_records(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    search: Search,
    freshness: Annotated[str | None, Header(alias=HEADER, max_length=1000)] = None,
) -> Response[str]:
    """Answer up to 1,000 queries: `{"results": [{"items": [{"score", "distance", "relevance", "record"}]}]}`.

    A query with vector and text has one ranking, by reciprocal rank fusion (k = 60).
    """
    definition = read_definition(app.caller.tenant, dataset, freshness)
    try:
        body = _answer(definition, search)
    except DatapunkError as error:
        remembered = definition.cached and isinstance(error, InvalidInputError | NotFoundError)
        if not remembered and not is_outdated(error):
            raise
        # What is wrong may be what was known of the dataset: looked at once more, as it is now.
        body = _answer(reload_definition(app.caller.tenant, dataset), search)
    return Response(status_code=200, content_type="application/json", body=body)


def _answer(definition: Definition, search: Search) -> str:
    with transaction() as tx:
        return search_in(tx, definition.dataset, search, most=settings().page_limit)
