"""DELETE /v1/lake/functions/{function}: delete a registered function."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.functions.catalogue import delete_function as delete

app, handler = http_function("lake.delete_function", raises=(NotFoundError,))


@app.delete("/v1/lake/functions/<function>", status_code=204, tags=["lake"])
def delete_function(function: Annotated[str, Path(pattern=IDENTIFIER)]) -> Response[str]:
    """Delete the function; calls of it are answered 404 from then on."""
    with transaction() as tx:
        delete(tx, function)
    return Response(status_code=204, body="")
