"""GET /v1/lake/datasets/{dataset}/quality: rules, newest scores, drift of the schema, and history."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quality.rules import CheckType
from datapunk.lake.quality.service import Quality, read_quality
from datapunk.paging import DEFAULT_LIMIT

app, handler = http_function("lake.get_quality", raises=(NotFoundError,))


@app.get("/v1/lake/datasets/<dataset>/quality", tags=["lake"])
def get_quality(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    check_type: Annotated[CheckType | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Quality:
    """Return how the dataset stands, with a page of its history, of one `check_type` where that is asked."""
    with transaction() as tx:
        found = find_dataset(tx, dataset)
        return read_quality(tx, found, limit=limit, cursor=cursor, check_type=check_type)
