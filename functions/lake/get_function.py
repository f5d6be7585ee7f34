"""GET /v1/lake/functions/{function}: one registered function, or 404."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.functions.catalogue import find_function
from datapunk.lake.functions.definition import Function

app, handler = http_function("lake.get_function", raises=(NotFoundError,))


@app.get("/v1/lake/functions/<function>", tags=["lake"])
def get_function(function: Annotated[str, Path(pattern=IDENTIFIER)]) -> Function:
    """Return the function with its parameters and its query."""
    with transaction() as tx:
        return find_function(tx, function)
