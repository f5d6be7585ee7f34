"""POST /v1/lake/datasets/{dataset}/records: insert rows from a JSON array, NDJSON or CSV."""

from typing import Annotated

import orjson
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.database import transaction
from datapunk.encodings import GZIP, ZSTD
from datapunk.errors import ConflictError, NotFoundError
from datapunk.http import http_function
from datapunk.idempotency import LONGEST, once
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.ingest import MOST_BYTES, Receipt, allowed_rows
from datapunk.lake.ingest import insert_records as insert
from datapunk.lake.parsing import CSV, JSON, NDJSON, parse_body
from datapunk.outbox import relay_now

OPERATION = "lake.insert_records"
app, handler = http_function(
    OPERATION, accepts=(JSON, NDJSON, CSV), raises=(NotFoundError, ConflictError)
)


@app.post("/v1/lake/datasets/<dataset>/records", status_code=201, tags=["lake"])
def insert_records(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=LONGEST)] = None,
) -> Response[Receipt]:
    """Insert all rows of the body or none, once for each key; emits `lake.records.inserted`."""
    body = app.body(encodings=(GZIP, ZSTD), most=MOST_BYTES)
    most = allowed_rows(dataset)
    with transaction() as tx:

        def act() -> Receipt:
            target = find_dataset(tx, dataset, hold=True)
            parsed = parse_body(body.media_type, body.charset, body.content, target.columns)
            return insert(tx, target, parsed, most=most)

        if key is None:
            receipt = act()
        else:
            asked = orjson.dumps([dataset, body.media_type, body.charset]) + body.content
            answer = once(tx, OPERATION, key, asked, lambda: act().model_dump_json().encode())
            receipt = Receipt.model_validate_json(answer)
    relay_now()
    return Response(status_code=201, content_type="application/json", body=receipt)
