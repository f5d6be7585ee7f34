"""GET /v1/lake/datasets/{dataset}/versions: the dataset's definitions so far, newest first, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.versions import DatasetVersion
from datapunk.lake.versions import list_versions as list_page
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("lake.list_versions", raises=(NotFoundError,))


@app.get("/v1/lake/datasets/<dataset>/versions", tags=["lake"])
def list_versions(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[DatasetVersion]:
    """Return a page of versions, each with the changes that led to it."""
    with transaction() as tx:
        return list_page(tx, find_dataset(tx, dataset), limit=limit, cursor=cursor)
