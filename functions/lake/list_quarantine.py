"""GET /v1/lake/datasets/{dataset}/quarantine: rows that did not fit, page by page; or one."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quarantine import Quarantined, find_row, list_rows
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("lake.list_quarantine", raises=(NotFoundError,))


@app.get("/v1/lake/datasets/<dataset>/quarantine", tags=["lake"])
def list_quarantine(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    batch: Annotated[UUID | None, Query()] = None,
    rule: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Page[Quarantined]:
    """Return a page of rows in quarantine, of one batch or with one broken rule where that is asked."""
    with transaction() as tx:
        found = find_dataset(tx, dataset)
        return list_rows(tx, found, limit=limit, cursor=cursor, batch=batch, rule=rule)


@app.get("/v1/lake/datasets/<dataset>/quarantine/<row>", tags=["lake"])
def get_quarantined(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], row: Annotated[UUID, Path()]
) -> Quarantined:
    """Return a row in quarantine: as it was sent, and all that is wrong with it."""
    with transaction() as tx:
        return find_row(tx, find_dataset(tx, dataset), row)
