"""PATCH /v1/lake/datasets/{dataset}: change a dataset's definition, in the state that `If-Match` names."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.errors import (
    ConflictError,
    NotAvailableError,
    NotFoundError,
    PreconditionFailedError,
)
from datapunk.http import http_function
from datapunk.lake.changes import DatasetChanges
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import Dataset
from datapunk.lake.evolution import change_dataset as change
from datapunk.outbox import relay_now

app, handler = http_function(
    "lake.change_dataset",
    raises=(NotFoundError, ConflictError, PreconditionFailedError, NotAvailableError),
)


@app.patch("/v1/lake/datasets/<dataset>", tags=["lake"])
def change_dataset(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    changes: DatasetChanges,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[Dataset]:
    """Make one new version with all changes or none; 409 for what rows, references or clients do not bear."""
    changed = change(dataset, changes, if_match=if_match)
    relay_now()
    return Response(
        status_code=200,
        content_type="application/json",
        body=changed.dataset,
        headers={"ETag": changed.dataset.etag, **changed.headers},
    )
