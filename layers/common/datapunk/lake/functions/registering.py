"""Functions registered, after they were checked."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from datapunk.database import Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.datasets import find_dataset
from datapunk.lake.functions.binding import check_fit
from datapunk.lake.functions.catalogue import SQL, to_function
from datapunk.lake.functions.definition import Function, FunctionDefinition
from datapunk.lake.rest.errors import RestError


def put_function(tx: Transaction, name: str, definition: FunctionDefinition) -> Function:
    """Register a function, in the place of another of its name.

    Raises NotFoundError where its dataset does not exist, InvalidInputError where its query does not fit the
    dataset or its parameters.
    """
    dataset = find_dataset(tx, definition.dataset)
    try:
        check_fit(tx, dataset, definition)
    except RestError as error:
        message = error.message if error.details is None else f"{error.message}: {error.details}"
        raise InvalidInputError(
            f"The query does not fit {dataset.name}: {message}",
            errors=[FieldError("query", message, error.code)],
        ) from error
    row = tx.one(
        load_queries(SQL)["put"],
        {
            "name": name,
            "dataset": dataset.name,
            "definition": Jsonb(definition.model_dump(mode="json", exclude_defaults=True)),
        },
    )
    return to_function(row or {})
