"""A function called: its query as the table that the rest of the request reads from.

It runs as the caller would run it himself: his rows, his masks, his limits. What the function finds of
protected columns and embedded rows can be shown, and not be asked about: it is marked text by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import NotFoundError
from datapunk.lake.casts import CASTS
from datapunk.lake.columns import IDENTIFIER, NEARNESS, Column, ColumnType
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.functions.arguments import (
    from_body,
    from_query,
    names_in,
    split_query,
    unknown_function,
)
from datapunk.lake.functions.binding import Arguments, resolve_call
from datapunk.lake.functions.catalogue import look_up_function
from datapunk.lake.functions.definition import Function, Returns
from datapunk.lake.operators import aggregate_kind
from datapunk.lake.plan import Comparison, Condition, Field, Logic, Output, Select
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.rest import grammar
from datapunk.lake.rest.documents import RestAnswer, content_range
from datapunk.lake.rest.errors import RestError, not_supported
from datapunk.lake.rest.reading import read_selection, require_readable
from datapunk.lake.rest.requests import JSON, OBJECT, RestRequest, read_request
from datapunk.lake.rest.resolving import resolve
from datapunk.lake.rest.statements import bad_search
from datapunk.lake.sql_parts import Statement, identifier

_CALLERS = frozenset({"22P02", "PGRST103"})
"""Codes of what is wrong with an argument, not with the function."""
_PLAIN = frozenset(ColumnType) - NEARNESS
"""Types that come out of a selection as they went in, so that a request can go on with them."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was sent; `content` is the body of a POST, None of a GET or HEAD."""

    query: Mapping[str, Sequence[str]]
    header: Mapping[str, str | None]
    content: bytes | None
    with_body: bool = True


def answer_call(tx: Transaction, name: str, call: Call, most: int) -> RestAnswer:
    """Return what a call asks of the result of the function called `name`, `most` rows at the most.

    Raises RestError where there is no such function (PGRST202), for arguments that do not fit, a request
    that does not fit the result, and a query that no longer fits its dataset; DeadlineExceededError when it
    takes too long.
    """
    given = call.query if call.content is None else names_in(call.content)
    function = look_up_function(tx, name) if re.match(IDENTIFIER, name) else None
    if function is None:
        raise unknown_function(name, given)
    if call.content is None:
        named, rest = split_query(function, call.query)
        arguments = from_query(function, named)
    else:
        arguments, rest = from_body(function, call.content), dict(call.query)
    request = read_request(rest, call.header)
    return _answer(tx, function, arguments, request, most, with_body=call.with_body)


def _answer(
    tx: Transaction,
    function: Function,
    arguments: Arguments,
    request: RestRequest,
    most: int,
    *,
    with_body: bool,
) -> RestAnswer:
    require_readable(request)
    inner = _resolved(tx, function, arguments, most)
    disclosure = Disclosure(tx)
    with bad_search(inner):
        if function.returns is Returns.SCALAR and request.form.media_type in (JSON, OBJECT):
            return _scalar(tx, disclosure, inner, request, with_body=with_body)
        outer = _outer(tx, disclosure, function, inner, request, most)
        answer = read_selection(
            tx,
            disclosure,
            outer,
            request,
            most=most,
            with_body=with_body,
            source=lambda made: sql.SQL("({})").format(made.select(inner)),
        )
    if function.returns is Returns.SET or request.form.media_type != JSON or not with_body:
        return answer
    return replace(answer, body=answer.body[1:-1] or "null")


def _resolved(tx: Transaction, function: Function, arguments: Arguments, most: int) -> Select:
    """Return the function's query, checked against its dataset as it is now."""
    try:
        dataset = find_dataset(tx, function.dataset)
    except NotFoundError:
        raise _outdated(
            function, 404, "42P01", f"the dataset {function.dataset} does not exist"
        ) from None
    try:
        return resolve_call(tx, dataset, function, arguments, most)
    except RestError as error:
        if error.code in _CALLERS:
            raise
        raise _outdated(function, error.status, error.code, error.message) from None


def _outdated(function: Function, status: int, code: str, message: str) -> RestError:
    return RestError(
        status,
        code,
        message,
        f"The query of the function {function.name} no longer fits the dataset {function.dataset}.",
        f"Register it again: PUT /v1/lake/functions/{function.name}",
    )


def _scalar(
    tx: Transaction,
    disclosure: Disclosure,
    inner: Select,
    request: RestRequest,
    *,
    with_body: bool,
) -> RestAnswer:
    """Answer with the one value of the first row, null where there is none."""
    if request.conditions or request.order or request.windows or request.given:
        raise RestError(
            400, "PGRST100", "The function returns one value, which takes no filters and no select."
        )
    made = Statement(disclosure)
    value = sql.SQL("coalesce(string_agg(to_json({})::text, ''), 'null')").format(
        identifier("rows", inner.names[0])
    )
    statement = sql.SQL("SELECT {} AS document FROM ({}) AS rows").format(value, made.select(inner))
    document = str(tx.value(statement, made.parameters))
    body = disclosure.reveal([document])[0] if with_body else ""
    return RestAnswer(200, content_range(0, 1, None), body, request.form.content_type)


def _outer(
    tx: Transaction,
    disclosure: Disclosure,
    function: Function,
    inner: Select,
    request: RestRequest,
    most: int,
) -> Select:
    """Resolve what the request asks of the function's result."""
    if any(isinstance(item, grammar.Resource) for item in request.select):
        raise not_supported(
            "The result of a function has no references to embed by.",
            "Embed in the function's own select.",
        )
    outputs = {output.name: output for output in inner.outputs}
    columns: list[Column] = []
    shown: set[str] = set()
    for name in inner.names:
        output = outputs.get(name)
        kind = _kind(output) if output else None
        if output is None or kind not in _PLAIN or _is_protected(disclosure, inner, output):
            shown.add(name)
        kind = kind if kind in _PLAIN else ColumnType.JSON
        columns.append(Column.model_construct(name=name, type=kind))
    result = Dataset.model_construct(
        name=function.name, columns=columns, key=[], references=[], table_name=""
    )
    outer = resolve(tx, result, request, most)
    _require_unasked(outer, shown)
    return outer


def _kind(output: Output) -> ColumnType | None:
    """Return what a value of the result is."""
    if output.cast is not None:
        return CASTS[output.cast][1]
    kind = output.field.kind if output.field else None
    return aggregate_kind(output.aggregate, kind) if output.aggregate else kind


def _is_protected(disclosure: Disclosure, inner: Select, output: Output) -> bool:
    """Tell whether a value of the result is not as it is stored."""
    column = output.field.column if output.field else None
    return column is not None and not inner.grouped and not disclosure.untouched(column)


def _require_unasked(outer: Select, shown: set[str]) -> None:
    """Refuse a request that asks more of a value than to be shown."""
    asked = [field for item in outer.where for field in _fields(item)]
    asked += [
        field for output in outer.outputs if (field := output.field) and _beyond(outer, output)
    ]
    for key in outer.order:
        field = key.by.field if isinstance(key.by, Output) else key.by
        if field is not None:
            asked.append(field)
    for field in asked:
        if field.column.name in shown:
            raise not_supported(
                f"{field.column.name} of the function's result can be selected, and nothing else.",
                "Filter and sort by it in the function's own query.",
            )


def _beyond(outer: Select, output: Output) -> bool:
    field = output.field
    return outer.grouped or (field is not None and bool(field.path or field.cast))


def _fields(item: Condition) -> list[Field]:
    if isinstance(item, Comparison):
        return [item.field]
    if isinstance(item, Logic):
        return [field for inner in item.items for field in _fields(inner)]
    return []
