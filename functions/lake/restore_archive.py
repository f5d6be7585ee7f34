"""POST /v1/lake/datasets/{dataset}/archives/{archive}/restoration: bring archived rows back."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.errors import ConflictError, NotFoundError
from datapunk.http import http_function
from datapunk.lake.archives.restoring import Restored
from datapunk.lake.archives.restoring import restore_archive as restore
from datapunk.lake.columns import IDENTIFIER
from datapunk.outbox import relay_now

app, handler = http_function("lake.restore_archive", raises=(NotFoundError, ConflictError))


@app.post("/v1/lake/datasets/<dataset>/archives/<archive>/restoration", tags=["lake"])
def restore_archive(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], archive: Annotated[UUID, Path()]
) -> Response[Restored]:
    """Store the archive's rows again, all or none; their month stays in the table for 30 days.

    Rows whose key exists are left alone. Restoring an archive again does nothing.
    """
    restored = restore(dataset, archive)
    relay_now()
    return Response(status_code=200, content_type="application/json", body=restored)
