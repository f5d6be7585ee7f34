"""GET /v1/lake/datasets/{dataset}/archives: the months of a dataset that are in storage, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.archives.catalogue import Archive
from datapunk.lake.archives.catalogue import list_archives as list_page
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("lake.list_archives", raises=(NotFoundError,))


@app.get("/v1/lake/datasets/<dataset>/archives", tags=["lake"])
def list_archives(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Archive]:
    """Return a page of archives, the latest month first; a large month is several."""
    with transaction() as tx:
        return list_page(tx, find_dataset(tx, dataset), limit=limit, cursor=cursor)
