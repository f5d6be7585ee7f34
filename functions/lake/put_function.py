"""PUT /v1/lake/functions/{function}: register a query with parameters, to be called by its name."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import NotFoundError
from datapunk.http import http_function
from datapunk.lake.columns import IDENTIFIER
from datapunk.lake.functions.definition import Function, FunctionDefinition
from datapunk.lake.functions.registering import put_function as put

app, handler = http_function("lake.put_function", raises=(NotFoundError,))


@app.put("/v1/lake/functions/<function>", tags=["lake"])
def put_function(
    function: Annotated[str, Path(pattern=IDENTIFIER)], definition: FunctionDefinition
) -> Function:
    """Register the function, in the place of another of its name; whoever may read can call it."""
    with transaction() as tx:
        return put(tx, function, definition)
