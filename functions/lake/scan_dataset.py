"""POST /v1/lake/datasets/{dataset}/scans: look for personal data in a sample of rows; nothing is changed."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.privacy.scanning import Scan
from datapunk.lake.privacy.scanning import scan_dataset as scan

app, handler = http_function(
    "lake.scan_dataset", guard=Guard(mutates=False), raises=(NotFoundError,)
)


@app.post("/v1/lake/datasets/<dataset>/scans", tags=["lake"])
def scan_dataset(dataset: Annotated[str, Path(pattern=IDENTIFIER)]) -> Scan:
    """Say which columns seem to hold personal data, and what to declare; no value is shown."""
    with transaction() as tx:
        return scan(tx, find_dataset(tx, dataset))
