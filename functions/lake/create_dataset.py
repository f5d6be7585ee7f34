"""POST /v1/lake/datasets: create a dataset from its columns or a schema."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import ConflictError, NotAvailableError
from datapunk.http import http_function
from datapunk.lake.datasets import Dataset
from datapunk.lake.declarations import DatasetDeclaration
from datapunk.lake.definitions import create_definition

app, handler = http_function("lake.create_dataset", raises=(ConflictError, NotAvailableError))


@app.post("/v1/lake/datasets", status_code=201, tags=["lake"])
def create_dataset(declaration: DatasetDeclaration) -> Response[Dataset]:
    """Create a typed dataset; 409 when the name is taken. Reads may demand its position, `X-Freshness`."""
    with transaction() as tx:
        created = create_definition(tx, declaration.definition())
    dataset = created.dataset
    return Response(
        status_code=201,
        content_type="application/json",
        body=dataset,
        headers={
            "Location": f"/v1/lake/datasets/{dataset.name}",
            "ETag": dataset.etag,
            **created.headers,
        },
    )
