"""Functions of a tenant: found, listed, deleted."""

from __future__ import annotations

from pathlib import Path

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, NotFoundError
from datapunk.lake.functions.definition import Function
from datapunk.paging import Page, decode_cursor, encode_cursor

SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.functions"


def look_up_function(tx: Transaction, name: str) -> Function | None:
    """Return the function called `name`, None when the caller's tenant has none."""
    row = tx.one(load_queries(SQL)["find"], {"name": name})
    return None if row is None else to_function(row)


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
    rows = tx.all(load_queries(SQL)["list"], asked)
    items = [to_function(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].name]) if more else None)


def delete_function(tx: Transaction, name: str) -> None:
    """Delete the function called `name`. Raises NotFoundError when the caller's tenant has none."""
    if not tx.execute(load_queries(SQL)["delete"], {"name": name}):
        raise _missing(name)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(
        f"There is no function called {name}.",
        errors=[FieldError("function", "does not exist", "not_found")],
    )


def to_function(row: Row) -> Function:
    """Return a row of the catalogue as a function."""
    kept = {name: value for name, value in row.items() if name != "definition"}
    return Function.model_validate({**row["definition"], **kept})
