"""POST /v1/lake/datasets/{dataset}/quality/checks: measure the rules of a dataset now."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quality.service import Scores
from datapunk.lake.quality.service import check_quality as check
from datapunk.outbox import relay_now

app, handler = http_function("lake.check_quality", raises=(NotFoundError,))


@app.post("/v1/lake/datasets/<dataset>/quality/checks", tags=["lake"])
def check_quality(dataset: Annotated[str, Path(pattern=IDENTIFIER)]) -> Scores:
    """Return the scores, which are kept; none where the dataset has no rules."""
    with transaction() as tx:
        found = check(tx, find_dataset(tx, dataset))
    relay_now()
    return found
