"""GET /v1/lake/jobs/{job}: how far an uploaded file is on its way into its dataset."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.uploads import Job, find_job

app, handler = http_function("lake.get_job", raises=(NotFoundError,))


@app.get("/v1/lake/jobs/<job>", tags=["lake"])
def get_job(job: Annotated[UUID, Path()]) -> Job:
    """Say what has been stored so far; of a job that is done, this is the receipt. Kept for 30 days."""
    with transaction() as tx:
        return find_job(tx, job)
