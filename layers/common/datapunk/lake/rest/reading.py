"""Rows out of a dataset, for GET and HEAD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from psycopg import sql

from datapunk.database import Transaction
from datapunk.lake.datasets import Dataset
from datapunk.lake.plan import Select
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.rest.documents import (
    RestAnswer,
    applied,
    content_range,
    document_columns,
    range_status,
    render,
    require_single,
)
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.features import require_place
from datapunk.lake.rest.requests import RestRequest
from datapunk.lake.rest.resolving import resolve
from datapunk.lake.rest.statements import bad_search
from datapunk.lake.sql_parts import Statement

Source = Callable[[Statement], sql.Composable]
"""Writes the table of a statement that reads from another than its dataset's."""


def read_records(
    tx: Transaction, dataset: Dataset, request: RestRequest, *, most: int, with_body: bool = True
) -> RestAnswer:
    """Return the rows a request asks for, `most` at the most.

    Raises RestError for what is wrong with it, DeadlineExceededError when it takes too long.
    """
    require_readable(request)
    select = resolve(tx, dataset, request, most)
    return read_selection(tx, Disclosure(tx), select, request, most=most, with_body=with_body)


def require_readable(request: RestRequest) -> None:
    """Raise RestError for a request with what only changes have."""
    if "columns" in request.given or "on_conflict" in request.given:
        raise RestError(400, "PGRST100", "columns and on_conflict are for rows that are written")


def read_selection(
    tx: Transaction,
    disclosure: Disclosure,
    select: Select,
    request: RestRequest,
    *,
    most: int,
    with_body: bool,
    source: Source | None = None,
) -> RestAnswer:
    """Return the rows of a checked selection as the request wants them. Raises as `read_records` does."""
    if not select.names:
        raise RestError(400, "PGRST100", "select names no column")
    require_place(tx, select, request.form)
    with bad_search(select):
        total = _total(tx, disclosure, select, request.preferences.count, most, source)
        # Beyond the last row there is nothing to look for.
        range_status(request.window, 0, total)
        made = Statement(disclosure)
        rows = made.select(select, source and source(made))
        columns: sql.Composable = sql.SQL("count(*) AS found")
        if with_body:
            columns = document_columns(select, request.form)
        row = tx.one(sql.SQL("SELECT {} FROM ({}) AS rows").format(columns, rows), made.parameters)
    row = row or {"found": 0, "documents": ""}
    require_single(row["found"], request.form)
    return RestAnswer(
        range_status(request.window, row["found"], total),
        {
            **content_range(request.window.offset, row["found"], total),
            **applied(request, "count"),
        },
        render(row, select, request.form, disclosure) if with_body else "",
        request.form.content_type,
    )


def _total(
    tx: Transaction,
    disclosure: Disclosure,
    select: Select,
    how: str | None,
    most: int,
    source: Source | None,
) -> int | None:
    """Return how many rows there are without limits, counted or as the planner thinks."""
    if how is None:
        return None
    if how != "exact":
        planned = _planned(tx, disclosure, select, source)
        if how == "planned" or planned > most:
            return planned
    made = Statement(disclosure)
    return int(tx.value(made.count(select, source and source(made)), made.parameters))


def _planned(tx: Transaction, disclosure: Disclosure, select: Select, source: Source | None) -> int:
    made = Statement(disclosure)
    whole = replace(select, limit=None, offset=0, order=())
    rows = made.select(whole, source and source(made))
    plan = tx.value(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(rows), made.parameters)
    return int(plan[0]["Plan"]["Plan Rows"])
