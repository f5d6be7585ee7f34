"""GET /v1/lake/datasets/{dataset}: one dataset, or 404."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.cache.freshness import HEADER, PARAMETER
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import Dataset
from datapunk.lake.definitions import read_definition, read_earlier

app, handler = http_function("lake.get_dataset", raises=(NotFoundError,), parameters=(PARAMETER,))


@app.get("/v1/lake/datasets/<dataset>", tags=["lake"])
def get_dataset(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response[Dataset]:
    """Return the dataset with its version, columns and key, or what it was in an earlier `version`.

    It may be five seconds old, or as new as the position in the request's `X-Freshness` demands.
    `X-Cache` says who answered.
    """
    if version is None:
        found = read_definition(app.caller.tenant, dataset, app.header(HEADER))
    else:
        found = read_earlier(dataset, version, app.header(HEADER))
    return Response(
        status_code=200,
        content_type="application/json",
        body=found.dataset,
        headers={"ETag": found.dataset.etag, **found.headers},
    )
