"""POST /v1/lake/datasets/{dataset}/exports: what a query finds as a file in storage, and a link to it."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.export_request import Export, Exported
from datapunk.lake.exporting import export_records as write_export
from datapunk.outbox import relay_now

app, handler = http_function("lake.export_records", raises=(NotFoundError,))


@app.post("/v1/lake/datasets/<dataset>/exports", status_code=201, tags=["lake"])
def export_records(dataset: Annotated[str, Path(pattern=IDENTIFIER)], export: Export) -> Exported:
    """Write all rows of a query to a file; its link works for 15 minutes; emits an event.

    Values of encrypted columns stay encrypted in the file; masked ones are masked as for any reader.
    """
    with transaction() as tx:
        exported = write_export(tx, find_dataset(tx, dataset), export)
    relay_now()
    return exported
