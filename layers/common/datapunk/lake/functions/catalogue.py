"""Functions of a tenant: registered after they were checked, found, listed, deleted."""

from __future__ import annotations

from pathlib import Path

from psycopg.types.json import Jsonb

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError, NotFoundError
from datapunk.lake.datasets import find_dataset
from datapunk.lake.functions.binding import check_fit
from datapunk.lake.functions.definition import Function, FunctionDefinition
from datapunk.lake.rest.errors import RestError
from datapunk.paging import Page, decode_cursor, encode_cursor

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.functions"


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
        load_queries(_SQL)["put"],
        {
            "name": name,
            "dataset": dataset.name,
            "definition": Jsonb(definition.model_dump(mode="json", exclude_defaults=True)),
        },
    )
    return _function(row or {})


def look_up_function(tx: Transaction, name: str) -> Function | None:
    """Return the function called `name`, None when the caller's tenant has none."""
    row = tx.one(load_queries(_SQL)["find"], {"name": name})
    return None if row is None else _function(row)


def find_function(tx: Transaction, name: str) -> Function:
    """Return the function called `name`. Raises NotFoundError when the caller's tenant has none."""
    found = look_up_function(tx, name)
    if found is None:
        raise _missing(name)
    return found


def list_functions(
    tx: Transaction, *, limit: int, cursor: str | None = None, dataset: str | None = None
) -> Page[Function]:
    """Return a page of functions by name, of one dataset if it is named.

    Raises InvalidInputError for a foreign cursor.
    """
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    asked = {"after": after, "limit": limit + 1, "dataset": dataset}
    rows = tx.all(load_queries(_SQL)["list"], asked)
    items = [_function(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].name]) if more else None)


def delete_function(tx: Transaction, name: str) -> None:
    """Delete the function called `name`. Raises NotFoundError when the caller's tenant has none."""
    if not tx.execute(load_queries(_SQL)["delete"], {"name": name}):
        raise _missing(name)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(
        f"There is no function called {name}.",
        errors=[FieldError("function", "does not exist", "not_found")],
    )


def _function(row: Row) -> Function:
    kept = {name: value for name, value in row.items() if name != "definition"}
    return Function.model_validate({**row["definition"], **kept})
