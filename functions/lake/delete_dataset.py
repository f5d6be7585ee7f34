"""DELETE /v1/lake/datasets/{dataset}: delete a dataset with its rows, in the state that `If-Match` names."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from datapunk.errors import ConflictError, NotFoundError, PreconditionFailedError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.evolution import delete_dataset as delete
from datapunk.outbox import relay_now

app, handler = http_function(
    "lake.delete_dataset", raises=(NotFoundError, ConflictError, PreconditionFailedError)
)


@app.delete("/v1/lake/datasets/<dataset>", status_code=204, tags=["lake"])
def delete_dataset(
    dataset: Annotated[str, Path(pattern=IDENTIFIER)],
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=1024)] = None,
) -> Response[str]:
    """Delete the dataset, its versions and its rows; 409 while another dataset refers to it."""
    headers = delete(dataset, if_match=if_match)
    relay_now()
    return Response(status_code=204, body="", headers=headers)
