"""GET /v1/lake/functions: the caller's registered functions by name, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.functions.catalogue import list_functions as list_page
from datapunk.lake.functions.definition import Function
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("lake.list_functions")


@app.get("/v1/lake/functions", tags=["lake"])
def list_functions(
    dataset: Annotated[str | None, Query(pattern=IDENTIFIER)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Function]:
    """Return a page of functions, of one `dataset` where that is asked; `next_cursor` leads to the next."""
    with transaction() as tx:
        return list_page(tx, limit=limit, cursor=cursor, dataset=dataset)
