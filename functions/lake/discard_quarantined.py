"""DELETE /v1/lake/datasets/{dataset}/quarantine/{row}: delete a row that did not fit."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quarantine import discard_row

app, handler = http_function("lake.discard_quarantined", raises=(NotFoundError,))


@app.delete("/v1/lake/datasets/<dataset>/quarantine/<row>", status_code=204, tags=["lake"])
def discard_quarantined(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], row: Annotated[UUID, Path()]
) -> Response[str]:
    """Delete the row; nothing of it is stored."""
    with transaction() as tx:
        discard_row(tx, find_dataset(tx, dataset), row)
    return Response(status_code=204, body="")
