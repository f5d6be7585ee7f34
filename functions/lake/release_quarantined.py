"""POST /v1/lake/datasets/{dataset}/quarantine/{row}/release: store a row that fits its dataset by now."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.ingest import allowed_rows, receipt_of
from datapunk.lake.quarantine import release_row
from datapunk.lake.receipts import Receipt
from datapunk.lake.staging import OnConflict
from datapunk.outbox import relay_now

app, handler = http_function("lake.release_quarantined", raises=(NotFoundError,))


@app.post("/v1/lake/datasets/<dataset>/quarantine/<row>/release", tags=["lake"])
def release_quarantined(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    row: Annotated[UUID, Path()],
    on_conflict: Annotated[OnConflict, Query()] = OnConflict.ERROR,
) -> Response[Receipt]:
    """Validate the row anew and store it; 422 with what is still wrong, and then it stays."""
    allowed_rows(dataset)
    with transaction() as tx:
        target = find_dataset(tx, dataset, hold=True)
        outcome = release_row(tx, target, row, on_conflict)
        receipt = receipt_of(tx, target, outcome, on_conflict)
    relay_now()
    return Response(status_code=200, content_type="application/json", body=receipt)
