"""POST /v1/lake/datasets/{dataset}/records: insert rows from a JSON array, NDJSON or CSV."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ConflictError, NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.ingest import Receipt, allowed_rows
from datapunk.lake.ingest import insert_records as insert
from datapunk.lake.parsing import CSV, JSON, NDJSON, parse_body
from datapunk.outbox import relay_now

app, handler = http_function(
    "lake.insert_records", accepts=(JSON, NDJSON, CSV), raises=(NotFoundError, ConflictError)
)


@app.post("/v1/lake/datasets/<dataset>/records", status_code=201, tags=["lake"])
def insert_records(dataset: Annotated[str, Path(pattern=IDENTIFIER)]) -> Response[Receipt]:
    """Insert all rows of the body or none; emits `lake.records.inserted`."""
    body = app.body()
    most = allowed_rows(dataset)
    with transaction() as tx:
        target = find_dataset(tx, dataset, hold=True)
        parsed = parse_body(body.media_type, body.charset, body.content, target.columns)
        receipt = insert(tx, target, parsed, most=most)
    relay_now()
    return Response(status_code=201, content_type="application/json", body=receipt)
