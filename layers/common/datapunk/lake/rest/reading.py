"""Rows out of a dataset, for GET and HEAD."""

from __future__ import annotations

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


def read_records(
    tx: Transaction, dataset: Dataset, request: RestRequest, *, most: int, with_body: bool = True
) -> RestAnswer:
    """Return the rows a request asks for, `most` at the most.

    Raises RestError for what is wrong with it, DeadlineExceededError when it takes too long.
    """
    if "columns" in request.given or "on_conflict" in request.given:
        raise RestError(400, "PGRST100", "columns and on_conflict are for rows that are written")
    select = resolve(tx, dataset, request, most)
    if not select.names:
        raise RestError(400, "PGRST100", "select names no column")
    require_place(tx, select, request.form)
    disclosure = Disclosure(tx)
    with bad_search(select):
        total = _total(tx, disclosure, select, request.preferences.count, most)
        # Beyond the last row there is nothing to look for.
        range_status(request.window, 0, total)
        made = Statement(disclosure)
        rows = made.select(select)
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
    tx: Transaction, disclosure: Disclosure, select: Select, how: str | None, most: int
) -> int | None:
    """Return how many rows there are without limits, counted or as the planner thinks."""
    if how is None:
        return None
    if how != "exact":
        planned = _planned(tx, disclosure, select)
        if how == "planned" or planned > most:
            return planned
    made = Statement(disclosure)
    return int(tx.value(made.count(select), made.parameters))


def _planned(tx: Transaction, disclosure: Disclosure, select: Select) -> int:
    made = Statement(disclosure)
    rows = made.select(replace(select, limit=None, offset=0, order=()))
    plan = tx.value(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(rows), made.parameters)
    return int(plan[0]["Plan"]["Plan Rows"])
