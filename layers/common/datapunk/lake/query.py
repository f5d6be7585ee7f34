"""Records out of a dataset: one page, every value bound, every identifier composed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString

import orjson
from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import NEARNESS, SQL_TYPES, Column, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.filters import Query
from datapunk.lake.operators import aggregate_kind
from datapunk.lake.parsing import CSV, NDJSON
from datapunk.lake.plan import Field, Order, Output
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.sql_parts import Statement, texts_of
from datapunk.paging import decode_cursor, encode_cursor


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """A page as text of its media type; `next_cursor` is None on the last one."""

    body: str
    media_type: str
    next_cursor: str | None


def query_records(tx: Transaction, dataset: Dataset, query: Query, media_type: str) -> RecordsPage:
    """Run a query and return a page as JSON (`{items, next_cursor}`), NDJSON or CSV.

    Raises InvalidInputError for a cursor of another query, DeadlineExceededError when it takes too long.
    """
    disclosure = Disclosure(tx)
    statement, parameters = compile_query(
        dataset, query, disclosure=disclosure, as_texts=media_type == CSV
    )
    rows = tx.all(statement, parameters)
    page = rows[: query.limit]
    cursor = None
    if len(rows) > query.limit:
        cursor = encode_cursor(_shape(dataset, query), page[-1]["position"])
    found = [row["document"] for row in page]
    reveal = disclosure.reveal_fields if media_type == CSV else disclosure.reveal
    documents = reveal(found)
    return RecordsPage(_render(documents, query, media_type, cursor), media_type, cursor)


def _render(documents: list[Any], query: Query, media_type: str, cursor: str | None) -> str:
    if media_type == CSV:
        return csv_lines([header_of(query), *documents])
    if media_type == NDJSON:
        return json_lines(documents)
    return f'{{"items":[{",".join(documents)}],"next_cursor":{orjson.dumps(cursor).decode()}}}'


def header_of(query: Query) -> list[str]:
    """Return the names of a query's columns, in their order."""
    return [output.name for output in query.outputs]


def csv_lines(rows: Iterable[Sequence[str | None]]) -> str:
    """Return rows of texts as CSV (RFC 4180); null is an empty field."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()


def json_lines(documents: Iterable[str]) -> str:
    """Return JSON texts as NDJSON."""
    return "".join(f"{document}\n" for document in documents)


def compile_query(
    dataset: Dataset, query: Query, *, disclosure: Disclosure, as_texts: bool
) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement and its parameters.

    Its rows have a `document` (the row as JSON text, or as an array of texts) and a `position`, the
    values of the sort keys, from which the next page's cursor is made. One row more than the limit is
    asked for, to know whether there is a next page.
    """
    made = Statement(disclosure)
    inner = _rows(made, dataset, query)
    statement = sql.SQL(
        "SELECT {document} AS document, json_build_array({keys}) AS position "
        "FROM ({inner}) AS rows{after} ORDER BY {order} LIMIT {limit}"
    ).format(
        document=_document(query.outputs, as_texts=as_texts),
        # As texts: a decimal that became a JSON number would come back as another one, and the next page
        # would begin at the wrong row.
        keys=sql.SQL(", ").join(
            sql.SQL("{}::text").format(_key_name(place)) for place in range(len(query.order))
        ),
        inner=inner,
        after=_after(made, dataset, query),
        order=_ordering(query),
        limit=sql.Literal(query.limit + 1),
    )
    return statement, made.parameters


def compile_whole(
    dataset: Dataset, query: Query, *, disclosure: Disclosure, as_texts: bool, most: int | None
) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement and its parameters for all that a query finds, or its first `most` rows.

    Its rows have a `document`, as those of `compile_query`; limit and cursor of the query are not looked at.
    """
    made = Statement(disclosure)
    inner = _rows(made, dataset, query)
    statement = sql.SQL("SELECT {} AS document FROM ({}) AS rows ORDER BY {}{}").format(
        _document(query.outputs, as_texts=as_texts),
        inner,
        _ordering(query),
        sql.SQL("") if most is None else sql.SQL(" LIMIT {}").format(sql.Literal(most)),
    )
    return statement, made.parameters


def _rows(made: Statement, dataset: Dataset, query: Query) -> sql.Composed:
    """Return the statement of the rows that the filters leave, with what they are sorted by."""
    selected = [
        sql.SQL("{} AS {}").format(
            made.shown(dataset, output, grouped=query.grouped), sql.Identifier(output.name)
        )
        for output in query.outputs
    ]
    # Sort keys get names of their own beside the outputs: an output may be renamed to any of them.
    keys = [_key_expression(made, dataset, query, order) for order in query.order]
    selected += [
        sql.SQL("{} AS {}").format(key, _key_name(place)) for place, key in enumerate(keys)
    ]
    return sql.SQL("SELECT {} FROM {}{}{}").format(
        sql.SQL(", ").join(selected),
        dataset.table,
        made.where(dataset, query.filters),
        _group(made, query),
    )


def _ordering(query: Query) -> sql.Composable:
    if not query.order:
        return sql.SQL("1")
    return sql.SQL(", ").join(_direction(place, item) for place, item in enumerate(query.order))


def _key_name(place: int) -> sql.Identifier:
    return sql.Identifier(f"_key_{place}")


def _direction(place: int, order: Order) -> sql.Composed:
    return sql.SQL("{} {}").format(_key_name(place), sql.SQL("DESC" if order.descending else "ASC"))


def _key_expression(
    made: Statement, dataset: Dataset, query: Query, order: Order
) -> sql.Composable:
    if query.grouped:
        return made.output(next(item for item in query.outputs if item.name == order.name))
    columns = [*dataset.columns, *dataset.row_key()]
    return made.field(Field(next(item for item in columns if item.name == order.name)))


def _group(made: Statement, query: Query) -> sql.Composable:
    if not query.grouped:
        return sql.SQL("")
    plain = [made.output(output) for output in query.outputs if not output.aggregate]
    return sql.SQL(" GROUP BY {}").format(sql.SQL(", ").join(plain)) if plain else sql.SQL("")


def _document(outputs: Sequence[Output], *, as_texts: bool) -> sql.Composed:
    """Return the expression for one result row: built by PostgreSQL, which is much faster at it."""
    if as_texts:
        return texts_of([output.name for output in outputs])
    names = [sql.SQL("rows.{}").format(sql.Identifier(output.name)) for output in outputs]
    return sql.SQL("(SELECT row_to_json(outputs) FROM (SELECT {}) AS outputs)::text").format(
        sql.SQL(", ").join(names)
    )


def _shape(dataset: Dataset, query: Query) -> str:
    """Describe what a cursor depends on: another order or selection has other positions."""
    outputs = [(output.name, output.aggregate) for output in query.outputs]
    return repr((dataset.table_name, outputs, query.order))


def _after(made: Statement, dataset: Dataset, query: Query) -> sql.Composable:
    """Return the condition that leaves only rows behind the cursor's position."""
    if query.cursor is None:
        return sql.SQL("")
    position = _bindable(decode_cursor(_shape(dataset, query), query.cursor, len(query.order)))
    kinds = [_key_type(dataset, query, order) for order in query.order]
    if _plain_keys(dataset, query):
        names = sql.SQL(", ").join(_key_name(place) for place in range(len(kinds)))
        slots = sql.SQL(", ").join(map(partial(_slot, made), position, kinds))
        sign = sql.SQL("<" if query.order[0].descending else ">")
        return sql.SQL(" WHERE ({}) {} ({})").format(names, sign, slots)
    alternatives: list[sql.Composable] = []
    for place, order in enumerate(query.order):
        step = _beyond(made, place, order, position[place], kinds[place])
        if step is None:
            continue
        same = [
            sql.SQL("{} IS NOT DISTINCT FROM {}").format(
                _key_name(before), _slot(made, position[before], kinds[before])
            )
            for before in range(place)
        ]
        alternatives.append(sql.SQL("({})").format(sql.SQL(" AND ").join([*same, step])))
    if not alternatives:
        return sql.SQL(" WHERE FALSE")
    return sql.SQL(" WHERE {}").format(sql.SQL(" OR ").join(alternatives))


def _beyond(
    made: Statement, place: int, order: Order, value: Any, kind: LiteralString
) -> sql.Composed | None:
    """Return the condition for a sort key behind `value`; nulls are last ascending, first descending."""
    name = _key_name(place)
    if value is None:
        return sql.SQL("{} IS NOT NULL").format(name) if order.descending else None
    if order.descending:
        return sql.SQL("{} < {}").format(name, _slot(made, value, kind))
    return sql.SQL("({0} > {1} OR {0} IS NULL)").format(name, _slot(made, value, kind))


def _plain_keys(dataset: Dataset, query: Query) -> bool:
    """Tell whether one row comparison will do, which an index can serve."""
    if query.grouped or len({order.descending for order in query.order}) != 1:
        return False
    required = {
        column.name for column in [*dataset.columns, *dataset.row_key()] if not column.nullable
    }
    return all(order.name in required for order in query.order)


def _key_type(dataset: Dataset, query: Query, order: Order) -> LiteralString:
    """Return PostgreSQL's type of a sort key, which its value in a cursor is cast to."""
    if not query.grouped:
        columns: list[Column] = [*dataset.columns, *dataset.row_key()]
        column = next(item for item in columns if item.name == order.name)
        return SQL_TYPES[column.type]
    output = next(item for item in query.outputs if item.name == order.name)
    kind = output.field.kind if output.field else None
    kind = ColumnType.JSON if kind in NEARNESS else kind  # as outputs have them
    return SQL_TYPES[aggregate_kind(output.aggregate or "", kind)]


def _slot(made: Statement, value: Any, kind: LiteralString) -> sql.Composed:
    return sql.SQL("{}::text::{}").format(made.bind(value), sql.SQL(kind))


def _bindable(values: Sequence[Any]) -> list[Any]:
    """Return a cursor's values as texts to be cast. Raises InvalidInputError for nested ones."""
    texts: list[Any] = []
    for value in values:
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif value is None or isinstance(value, str):
            texts.append(value)
        elif isinstance(value, int | float):
            texts.append(repr(value))
        else:
            raise InvalidInputError(
                "Not valid: cursor.", errors=[FieldError("cursor", "is not a cursor", "cursor")]
            )
    return texts
