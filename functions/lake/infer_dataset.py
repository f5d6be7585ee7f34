"""POST /v1/lake/inferences: propose a dataset's definition from a sample of rows; nothing is created."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.inference import Inference
from datapunk.lake.inference import infer_dataset as infer
from datapunk.lake.parsing import CSV, FILES, JSON, NDJSON

app, handler = http_function(
    "lake.infer_dataset", accepts=(JSON, NDJSON, CSV, *FILES), guard=Guard(mutates=False)
)


@app.post("/v1/lake/inferences", tags=["lake"])
def infer_dataset(
    name: Annotated[str, Query(pattern=IDENTIFIER)] = "sample",
) -> Inference:
    """Say which columns the rows have: `definition` is what `lake.create_dataset` takes, once looked at."""
    body = app.body()
    return infer(name, body.media_type, body.charset, body.content)
