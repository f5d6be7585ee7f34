"""PUT /v1/lake/datasets/{dataset}/quality/rules: say what is measured of a dataset's rows."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quality.rules import Catalogue
from datapunk.lake.quality.service import put_rules

app, handler = http_function("lake.put_quality_rules", raises=(NotFoundError,))


@app.put("/v1/lake/datasets/<dataset>/quality/rules", tags=["lake"])
def put_quality_rules(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)], catalogue: Catalogue
) -> Catalogue:
    """Replace all rules of the dataset by these; they are measured every hour, and when it is asked for."""
    with transaction() as tx:
        return put_rules(tx, find_dataset(tx, dataset), catalogue)
