"""GET /v1/lake/datasets: the caller's datasets by name, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.lake.datasets import Dataset
from datapunk.lake.datasets import list_datasets as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("lake.list_datasets")


@app.get("/v1/lake/datasets", tags=["lake"])
def list_datasets(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Dataset]:
    """Return a page of datasets; `next_cursor` leads to the next one."""
    with transaction() as tx:
        return list_page(tx, limit=limit, cursor=cursor)
