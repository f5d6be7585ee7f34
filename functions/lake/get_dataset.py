"""GET /v1/lake/datasets/{dataset}: one dataset, or 404."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.versions import as_of, find_version

app, handler = http_function("lake.get_dataset", raises=(NotFoundError,))


@app.get("/v1/lake/datasets/<dataset>", tags=["lake"])
def get_dataset(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response[Dataset]:
    """Return the dataset with its version, columns and key, or what it was in an earlier `version`."""
    with transaction() as tx:
        found = find_dataset(tx, dataset)
        if version is not None and version != found.version:
            found = as_of(found, find_version(tx, found, version))
    return Response(
        status_code=200,
        content_type="application/json",
        body=found,
        headers={"ETag": found.etag},
    )
