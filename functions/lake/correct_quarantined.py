"""PATCH /v1/lake/datasets/{dataset}/quarantine/{row}: give a row in quarantine a new content."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.parsing import JSON, decode
from datapunk.lake.quarantine import Quarantined, correct_row

app, handler = http_function("lake.correct_quarantined", accepts=(JSON,), raises=(NotFoundError,))


@app.patch("/v1/lake/datasets/<dataset>/quarantine/<row>", tags=["lake"])
def correct_quarantined(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], row: Annotated[UUID, Path()]
) -> Response[Quarantined]:
    """Replace the row by the object of the body, which must fit the columns; it waits to be released."""
    content = decode(app.body().content, "utf-8")
    with transaction() as tx:
        corrected = correct_row(tx, find_dataset(tx, dataset), row, content)
    return Response(status_code=200, content_type="application/json", body=corrected)
