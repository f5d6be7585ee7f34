"""Rows of a dataset written, for POST, PUT, PATCH and DELETE: all of a request or nothing.

New rows are inserted in the name of the tables' owner, as bulk loads are; changes and deletions happen under
row-level security. Each tells of itself by an event in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from datapunk.database import Row, Transaction
from datapunk.errors import PayloadTooLargeError
from datapunk.lake.columns import NEARNESS, Column, ColumnType, stored_type, utc_default
from datapunk.lake.datasets import OWNER_ROLE, Dataset
from datapunk.lake.plan import Comparison, Select
from datapunk.lake.privacy.changing import cells_of_rows, require_bound, require_whole
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.privacy.protecting import protect_rows
from datapunk.lake.rest.bodies import Written, read_changes, read_rows
from datapunk.lake.rest.documents import (
    RestAnswer,
    applied,
    content_range,
    document_columns,
    render,
    require_single,
)
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.features import require_place
from datapunk.lake.rest.requests import JSON, Form, RestRequest
from datapunk.lake.rest.resolving import resolve
from datapunk.lake.rest.statements import bad_search
from datapunk.lake.sql_parts import Statement, identifier
from datapunk.lake.telling import (
    RECORDS_DELETED,
    RECORDS_INSERTED,
    RECORDS_UPDATED,
    RECORDS_UPSERTED,
    tell,
)

_CHANGED = sql.Identifier("changed")
_MOST = 2**31
_OK, _NO_CONTENT = 200, 204


@dataclass(frozen=True, slots=True)
class RestBody:
    """A body as it was sent."""

    media_type: str
    charset: str
    content: bytes


def insert_rows(
    tx: Transaction, dataset: Dataset, request: RestRequest, *, body: RestBody, path: str, most: int
) -> RestAnswer:
    """Insert `most` rows at most, or merge them into those that are there (`Prefer: resolution`)."""
    select = _resolved(tx, dataset, request)
    written = _rows(dataset, request, body)
    if len(written.rows) > most:
        raise PayloadTooLargeError(f"{most:,} rows may be inserted at once.")
    made = Statement(Disclosure(tx))
    require_whole(dataset, request.preferences.resolution, request.on_conflict, written.columns)
    insert = _insert(made, dataset, request, _protected(tx, dataset, written))
    merging = request.preferences.resolution == "merge-duplicates"
    kind = RECORDS_UPSERTED if merging else RECORDS_INSERTED
    row = _run(tx, made, insert, select, request, as_owner=True)
    _finish(tx, dataset, kind, row, request)
    headers: dict[str, Any] = content_range(0, 0, _counted(request, row))
    if request.preferences.returns == "headers-only" and row["affected"] == 1 and dataset.key:
        query = {name: f"eq.{value}" for name, value in row["key"].items()}
        headers["Location"] = f"{path}?{urlencode(query)}"
    return _answer(201, headers, row, select, request, made.disclosure)


def put_row(
    tx: Transaction, dataset: Dataset, request: RestRequest, *, body: RestBody
) -> RestAnswer:
    """Insert the one row that the key in the query names, or replace it whole."""
    select = _resolved(tx, dataset, request)
    key = _put_key(dataset, select)
    written = _rows(dataset, request, body)
    if len(written.rows) != 1 or any(written.rows[0].get(name) != key[name] for name in key):
        raise RestError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
    whole = replace(request, on_conflict=None)
    made = Statement(Disclosure(tx))
    complete = _protected(tx, dataset, _complete(dataset, written))
    insert = _insert(made, dataset, whole, complete, merging=True)
    row = _run(tx, made, insert, select, request, as_owner=True)
    _finish(tx, dataset, RECORDS_UPSERTED, row, request)
    return _answer(200, {}, row, select, request, made.disclosure)


def update_rows(
    tx: Transaction, dataset: Dataset, request: RestRequest, *, body: RestBody
) -> RestAnswer:
    """Change the rows that the filters find."""
    select = _resolved(tx, dataset, request)
    _require_filters(select, "UPDATE")
    if body.media_type != JSON:
        raise RestError(415, "PGRST102", f"A change of rows is sent as {JSON}.")
    changes = read_changes(dataset, body.content, request.columns)
    if not changes:
        nothing = {"affected": 0, "found": 0, "documents": ""}
        return _answer(200, {}, nothing, select, request, Disclosure(tx))
    made = Statement(Disclosure(tx))
    require_bound(dataset, changes)
    table = made.new_table()
    kinds = {column.name: column for column in dataset.columns}
    assignments = [
        sql.SQL("{} = {}").format(identifier(name), made.bind(_bindable(kinds[name].type, value)))
        for name, value in changes.items()
        if not kinds[name].encrypted
    ]
    conditions = made.where(dataset, select.where, table)
    cells = cells_of_rows(tx, dataset, select, changes)
    source: sql.Composable = sql.SQL("")
    if cells is not None:
        assignments += cells.assignments
        source = sql.SQL(" FROM ({}) AS cells").format(_source(made, cells.columns, cells.rows))
        conditions = cells.conditions(table)
    update = sql.SQL("UPDATE {} AS {} SET {}{}{} RETURNING {}.*").format(
        dataset.table,
        identifier(table),
        sql.SQL(", ").join(assignments),
        source,
        conditions,
        identifier(table),
    )
    row = _run(tx, made, update, select, request)
    _finish(tx, dataset, RECORDS_UPDATED, row, request)
    shown = content_range(0, row["affected"], _counted(request, row))
    return _answer(200, shown, row, select, request, made.disclosure)


def delete_rows(tx: Transaction, dataset: Dataset, request: RestRequest) -> RestAnswer:
    """Delete the rows that the filters find."""
    select = _resolved(tx, dataset, request)
    _require_filters(select, "DELETE")
    made = Statement(Disclosure(tx))
    table = made.new_table()
    delete = sql.SQL("DELETE FROM {} AS {}{} RETURNING {}.*").format(
        dataset.table,
        identifier(table),
        made.where(dataset, select.where, table),
        identifier(table),
    )
    row = _run(tx, made, delete, select, request)
    _finish(tx, dataset, RECORDS_DELETED, row, request)
    shown = content_range(0, 0, _counted(request, row))
    return _answer(200, shown, row, select, request, made.disclosure)


# -- reading a request -----------------------------------------------------------------------------


def _resolved(tx: Transaction, dataset: Dataset, request: RestRequest) -> Select:
    """Return what is to be answered with, and the filters. Raises RestError."""
    if "limit" in request.given:
        raise RestError(
            400,
            "PGRST100",
            "limit and offset do not go with changes of rows",
            None,
            "Say which rows by filters.",
        )
    select = resolve(tx, dataset, replace(request, windows=_inner_windows(request)), _MOST)
    if request.preferences.returns == "representation":
        require_place(tx, select, request.form)
    return replace(select, limit=None)


def _inner_windows(request: RestRequest) -> dict[Any, Any]:
    return {place: window for place, window in request.windows.items() if place}


def _rows(dataset: Dataset, request: RestRequest, body: RestBody) -> Written:
    return read_rows(
        dataset, body.media_type, body.charset, body.content, request.columns, request.preferences
    )


def _require_filters(select: Select, word: str) -> None:
    if not select.where:
        raise RestError(
            400,
            "21000",
            f"{word} requires a WHERE clause",
            None,
            "Filter by a column; to mean all rows, by one that is never null: id=not.is.null.",
        )


def _put_key(dataset: Dataset, select: Select) -> dict[str, Any]:
    """Return the key that the filters of a PUT name. Raises RestError (PGRST105) where they do not."""
    key: dict[str, Any] = {}
    for item in select.where:
        plain = isinstance(item, Comparison) and item.operator == "eq" and not item.negated
        if isinstance(item, Comparison) and plain and not item.field.path and not item.quantifier:
            key[item.field.column.name] = item.value
    if not key or set(key) != set(dataset.key) or len(select.where) != len(key):
        raise RestError(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )
    return key


def _protected(tx: Transaction, dataset: Dataset, written: Written) -> Written:
    return Written(*protect_rows(tx, dataset, written.columns, written.rows))


def _complete(dataset: Dataset, written: Written) -> Written:
    """Return the row with a value for every column, so that it replaces the one that is there."""
    names = {column.name for column in written.columns}
    missing = [column for column in dataset.columns if column.name not in names]
    rows = [{**row, **{item.name: utc_default(item) for item in missing}} for row in written.rows]
    return Written([*written.columns, *missing], rows)


# -- statements ------------------------------------------------------------------------------------


def _insert(
    made: Statement,
    dataset: Dataset,
    request: RestRequest,
    written: Written,
    *,
    merging: bool = False,
) -> sql.Composed:
    table = made.new_table()
    columns = written.columns
    if not columns:
        if len(written.rows) > 1:
            raise RestError(400, "PGRST102", "Rows without any column can only be inserted singly.")
        source: sql.Composable = sql.SQL("DEFAULT VALUES")
        if not written.rows:
            columns, source = dataset.columns, _source(made, dataset.columns, [])
    else:
        source = _source(made, columns, written.rows)
    names = sql.SQL(", ").join(identifier(column.name) for column in columns)
    listed = sql.SQL(" ({})").format(names) if columns else sql.SQL("")
    return sql.SQL("INSERT INTO {} AS {}{} {}{} RETURNING {}.*").format(
        dataset.table,
        identifier(table),
        listed,
        source,
        _conflict(dataset, request, [column.name for column in columns], merging=merging),
        identifier(table),
    )


def _source(
    made: Statement, columns: Sequence[Column], rows: Sequence[dict[str, Any]]
) -> sql.Composed:
    """Return the query that makes rows of one JSON text, however many there are."""
    names = sql.SQL(", ").join(
        sql.SQL("rows.{}").format(identifier(column.name)) for column in columns
    )
    kinds = sql.SQL(", ").join(
        sql.SQL("{} {}").format(identifier(column.name), sql.SQL(stored_type(column)))
        for column in columns
    )
    text = to_json(rows, inf_nan_mode="null").decode()
    return sql.SQL("SELECT {} FROM json_to_recordset({}::text::json) AS rows({})").format(
        names, made.bind(text), kinds
    )


def _conflict(
    dataset: Dataset, request: RestRequest, filled: Sequence[str], *, merging: bool
) -> sql.Composable:
    """Return what becomes of rows that are there already."""
    resolution = "merge-duplicates" if merging else request.preferences.resolution
    if resolution is None:
        return sql.SQL("")
    named = request.on_conflict or tuple(dataset.key)
    keys = [set(key) for key in (dataset.key, *dataset.unique) if key]
    wanted = [column.name for column in map(dataset.column, named) if column is not None]
    if len(wanted) != len(named) or set(wanted) not in keys:
        unique = "; ".join(",".join(sorted(key)) for key in keys) or "none"
        raise RestError(
            400,
            "42P10",
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            None,
            f"on_conflict takes columns that are unique together; {dataset.name} has: {unique}",
        )
    target = sql.SQL(", ").join(map(identifier, wanted))
    changed = [name for name in filled if name not in wanted]
    if resolution == "ignore-duplicates" or not filled:
        return sql.SQL(" ON CONFLICT ({}) DO NOTHING").format(target)
    # With nothing else to change the row is still found, and so answered with.
    assignments = sql.SQL(", ").join(
        sql.SQL("{0} = EXCLUDED.{0}").format(identifier(name)) for name in changed or wanted
    )
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(target, assignments)


def _bindable(kind: ColumnType, value: Any) -> Any:
    if kind in NEARNESS and value is not None:
        return to_json(value).decode()
    return Jsonb(value) if kind is ColumnType.JSON and value is not None else value


def _run(
    tx: Transaction,
    made: Statement,
    change: sql.Composed,
    select: Select,
    request: RestRequest,
    *,
    as_owner: bool = False,
) -> Row:
    """Run a change and return how many rows it `affected`, with their documents where they are wanted."""
    parts: list[sql.Composable] = [sql.SQL("(SELECT count(*) FROM changed) AS affected")]
    source: sql.Composable = sql.SQL("")
    returns = request.preferences.returns
    if returns == "representation":
        shown = replace(select, where=())
        parts.append(document_columns(shown, request.form))
        source = sql.SQL(" FROM ({}) AS rows").format(made.select(shown, _CHANGED))
    elif returns == "headers-only" and select.dataset.key:
        names = sql.SQL(", ").join(map(identifier, select.dataset.key))
        parts.append(
            sql.SQL(
                "(SELECT row_to_json(keys) FROM (SELECT {} FROM changed LIMIT 1) AS keys) AS key"
            ).format(names)
        )
    statement = sql.SQL("WITH changed AS ({}) SELECT {}{}").format(
        change, sql.SQL(", ").join(parts), source
    )
    with bad_search(select):
        if not as_owner:
            return tx.one(statement, made.parameters) or {}
        with tx.acting_as(OWNER_ROLE):
            return tx.one(statement, made.parameters) or {}


def _finish(tx: Transaction, dataset: Dataset, kind: str, row: Row, request: RestRequest) -> None:
    """Check a change against what the client allows, and tell of it."""
    affected, most = row["affected"], request.preferences.most_affected
    if most is not None and affected > most:
        raise RestError(
            400,
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            f"The query affects {affected} rows",
        )
    require_single(affected, request.form)
    if affected:
        tell(tx, dataset, kind, affected)


def _counted(request: RestRequest, row: Row) -> int | None:
    return int(row["affected"]) if request.preferences.count else None


def _answer(
    status: int,
    headers: dict[str, Any],
    row: Row,
    select: Select,
    request: RestRequest,
    disclosure: Disclosure,
) -> RestAnswer:
    """Return the answer to a change: with the rows, or without a body."""
    names = ("return", "count", "resolution", "missing", "max-affected")
    headers = {**headers, **applied(request, *names)}
    form: Form = request.form
    if request.preferences.returns == "representation":
        return RestAnswer(status, headers, render(row, select, form, disclosure), form.content_type)
    return RestAnswer(_NO_CONTENT if status == _OK else status, headers)
