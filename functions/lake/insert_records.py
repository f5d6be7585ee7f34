"""POST /v1/lake/datasets/{dataset}/records: insert rows from a JSON array, NDJSON, CSV, Avro or Parquet."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from datapunk.database import transaction
from datapunk.encodings import GZIP, ZSTD
from datapunk.errors import ConflictError, NotFoundError
from datapunk.http import http_function
from datapunk.idempotency import LONGEST, once
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.ingest import MOST_BYTES, Ingest, allowed_rows, ingest_records
from datapunk.lake.parsing import CSV, FILES, JSON, NDJSON
from datapunk.lake.receipts import OnError, Receipt
from datapunk.lake.staging import OnConflict
from datapunk.outbox import relay_now

OPERATION = "lake.insert_records"
app, handler = http_function(
    OPERATION, accepts=(JSON, NDJSON, CSV, *FILES), raises=(NotFoundError, ConflictError)
)


@app.post("/v1/lake/datasets/<dataset>/records", status_code=201, tags=["lake"])
def insert_records(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    on_error: Annotated[OnError, Query()] = OnError.REJECT,
    on_conflict: Annotated[OnConflict, Query()] = OnConflict.ERROR,
    key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=LONGEST)] = None,
) -> Response[Receipt]:
    """Insert all rows of the body or none, or those that fit; once for each key; emits an event."""
    sent = app.body(encodings=(GZIP, ZSTD), most=MOST_BYTES)
    body = Ingest(sent.media_type, sent.charset, sent.content, on_error, on_conflict)
    most = allowed_rows(dataset)
    with transaction() as tx:

        def act() -> Receipt:
            target = find_dataset(tx, dataset, hold=True)
            return ingest_records(tx, target, body, most=most)

        if key is None:
            receipt = act()
        else:
            asked = dataset.encode() + b"\n" + body.digest
            answer = once(tx, OPERATION, key, asked, lambda: act().model_dump_json().encode())
            receipt = Receipt.model_validate_json(answer)
    relay_now()
    return Response(status_code=201, content_type="application/json", body=receipt)
