"""POST /v1/lake/datasets/{dataset}/uploads: a link to upload a file to, and the job that will load it."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.uploads import Upload, UploadRequest
from datapunk.lake.uploads import create_upload as create

app, handler = http_function("lake.create_upload", raises=(NotFoundError,))


@app.post("/v1/lake/datasets/<dataset>/uploads", status_code=201, tags=["lake"])
def create_upload(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], wanted: UploadRequest
) -> Response[Upload]:
    """Put the file to the link, by HTTP PUT; it is loaded as soon as it is there. For files of any size."""
    with transaction() as tx:
        made = create(tx, find_dataset(tx, dataset), wanted)
    return Response(
        status_code=201,
        content_type="application/json",
        body=made,
        headers={"Location": made.url, "Cache-Control": "no-store"},
    )
