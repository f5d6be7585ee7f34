"""Rows that are near a vector, rows that words are found in, and both in one ranking.

Rankings are joined by reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): a row's score is
the sum of 1 / (60 + its rank) over the rankings it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import sql

from datapunk.database import Row, Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import SQL_TYPES, Column, ColumnType, column_value
from datapunk.lake.datasets import OWNER_ROLE, Dataset
from datapunk.lake.filters import CONTROLS, Query, read_query
from datapunk.lake.plan import Comparison, Output
from datapunk.lake.plan import Field as Value
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.search_request import Search, SearchQuery
from datapunk.lake.searchable import OPERATORS
from datapunk.lake.sql_parts import Statement, identifier
from datapunk.lake.tables import words_of

FUSION = 60
"""The constant of reciprocal rank fusion; that of its authors."""
MOST_BYTES = 4_500_000
"""Bytes of an answer: Lambda's limit, less what writing it into another JSON text may add."""
_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
       set_config('hnsw.ef_search', %s, true),
       set_config('enable_indexscan', %s, true)
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A search checked against a dataset."""

    dataset: Dataset
    query: Query
    column: Column | None
    words: sql.Composed | None
    limit: int
    candidates: int
    effort: int


def search_records(tx: Transaction, dataset: Dataset, search: Search, *, most: int) -> str:
    """Run all queries and return `{"results": [{"items": [...]}]}`, a result for each query, in their order.

    `most` is how many hits may be asked for in all. Raises InvalidInputError for what the dataset does not
    have, DeadlineExceededError when it takes too long.
    """
    plan = _checked(dataset, search, most)
    disclosure = Disclosure(tx)
    _require_shown(disclosure, plan, search)
    with tx.acting_as(OWNER_ROLE):
        # Which rows, and their ranks: as the owner, because PostgreSQL uses no index of words under a policy
        # and misjudges that of vectors. What is in the rows is read in the caller's name, by their keys.
        ranked = _ranked(tx, disclosure, plan, search.queries, exact=search.exact)
    records = _records(tx, disclosure, plan, [row["key"] for rows in ranked for row in rows])
    results = []
    for rows in ranked:
        items = [_hit(row, record) for row in rows if (record := next(records)) is not None]
        results.append(f'{{"items":[{",".join(items)}]}}')
    body = f'{{"results":[{",".join(results)}]}}'
    if len(body.encode()) > MOST_BYTES:
        raise _refused(
            "limit", f"the answer would have more than {MOST_BYTES:,} bytes", "too_large"
        )
    return body


def _require_shown(disclosure: Disclosure, plan: _Plan, search: Search) -> None:
    """Raise InvalidInputError where the ranking would tell of a column what the caller is not shown of it."""
    ranked = [plan.column] if plan.column is not None else []
    if any(item.text is not None for item in search.queries):
        ranked += [column for column in plan.dataset.columns if column.full_text is not None]
    for column in ranked:
        if not disclosure.untouched(column):
            raise disclosure.refused(column, "is masked for you: rows cannot be found by it")


def _hit(row: Row, record: str) -> str:
    measures = {name: row[name] for name in ("score", "distance", "relevance")}
    return f'{orjson.dumps(measures).decode()[:-1]},"record":{record}}}'


# -- what is asked ---------------------------------------------------------------------------------


def _checked(dataset: Dataset, search: Search, most: int) -> _Plan:
    if search.limit * len(search.queries) > most:
        message = f"{len(search.queries)} queries may have {most // len(search.queries)} hits each"
        raise _refused("limit", message, "range")
    column = _column(dataset, search)
    words = words_of(dataset.columns)
    if words is None and any(item.text is not None for item in search.queries):
        raise _refused("queries", "no column of the dataset has full_text", "full_text")
    parameters = {
        name: [value] if isinstance(value, str) else value for name, value in search.filters.items()
    }
    for name in parameters:
        if name in CONTROLS:
            raise _refused(name, "is not a column of the dataset", "unknown_column")
    if search.select is not None:
        parameters["select"] = [search.select]
    every = [
        Output(item.name, Value(item))
        for item in dataset.columns
        if item.type is not ColumnType.VECTOR
    ] or [Output(item.name, Value(item)) for item in dataset.columns]
    query = read_query(parameters, dataset, most, every)
    if query.grouped:
        raise _refused("select", "a search finds rows and takes no aggregates", "aggregate")
    candidates = max(search.candidates, search.limit)
    return _Plan(dataset, query, column, words, search.limit, candidates, search.effort)


def _column(dataset: Dataset, search: Search) -> Column | None:
    """Return the column of vectors that is searched, None when no query has a vector."""
    if all(item.vector is None for item in search.queries):
        return None
    vectors = [item for item in dataset.columns if item.type is ColumnType.VECTOR]
    if search.column is not None:
        vectors = [item for item in vectors if search.column in item.names]
    if len(vectors) != 1:
        message = "names no column of vectors" if not vectors else "must name one of several"
        raise _refused("column", message, "column")
    check = column_value(vectors[0])
    for place, item in enumerate(search.queries):
        if item.vector is not None:
            try:
                check.validate_python(item.vector)
            except ValueError as error:
                message = _message(error)
                raise _refused(f"queries.{place}.vector", message, "vector") from None
    return vectors[0]


def _message(error: ValueError) -> str:
    details: Any = error
    return str(details.errors()[0]["msg"]).removeprefix("Value error, ")


def _refused(field: str, message: str, code: str) -> InvalidInputError:
    return InvalidInputError(
        f"Not valid: {field}: {message}.", errors=[FieldError(field, message, code)]
    )


# -- ranking ---------------------------------------------------------------------------------------


def _ranked(
    tx: Transaction,
    disclosure: Disclosure,
    plan: _Plan,
    queries: Sequence[SearchQuery],
    *,
    exact: bool,
) -> list[list[Row]]:
    """Return the keys, scores and measures of each query's hits."""
    found: list[list[Row]] = []
    tx.execute(_SETTINGS, (str(plan.effort), "off" if exact else "on"))
    for item in queries:
        statement, parameters = _ranking(disclosure, plan, item)
        rows = tx.all(statement, parameters)
        if (
            item.vector is not None
            and not exact
            and (rows[0]["near"] if rows else 0) < _wanted(plan, item)
        ):
            # The index gives up after so many rows that the filters leave out: then all are compared.
            tx.execute(_SETTINGS, (str(plan.effort), "off"))
            rows = tx.all(statement, parameters)
            tx.execute(_SETTINGS, (str(plan.effort), "on"))
        found.append(rows)
    if exact:
        tx.execute(_SETTINGS, (str(plan.effort), "on"))
    return found


def _wanted(plan: _Plan, item: SearchQuery) -> int:
    """Return how many rows a ranking should have: more than are wanted only where two are joined."""
    return plan.limit if item.vector is None or item.text is None else plan.candidates


def _ranking(
    disclosure: Disclosure, plan: _Plan, item: SearchQuery
) -> tuple[sql.Composed, dict[str, Any]]:
    made = Statement(disclosure)
    keys = [sql.Identifier(f"k{place}") for place in range(len(plan.dataset.row_key()))]
    ranks: list[sql.Composable] = []
    if item.vector is not None and plan.column is not None:
        ranks.append(sql.SQL("near AS MATERIALIZED ({})").format(_near(made, plan, item)))
    if item.text is not None and plan.words is not None:
        ranks.append(sql.SQL("words AS MATERIALIZED ({})").format(_matching(made, plan, item)))
    near, words = item.vector is not None, item.text is not None
    nothing = sql.SQL("NULL::double precision")
    scores = [
        sql.SQL("coalesce(1::double precision / ({} + {}.rank), 0)").format(
            sql.Literal(FUSION), sql.Identifier(name)
        )
        for name, there in (("near", near), ("words", words))
        if there
    ]
    statement = sql.SQL(
        "WITH {ranks} SELECT ARRAY[{texts}] AS key, {score} AS score, {distance} AS distance, "
        "{relevance} AS relevance, {near} AS near FROM {source} ORDER BY score DESC, {keys} LIMIT {limit}"
    ).format(
        source=_source(item).format(keys=sql.SQL(", ").join(keys)),
        ranks=sql.SQL(", ").join(ranks),
        texts=sql.SQL(", ").join(sql.SQL("{}::text").format(key) for key in keys),
        score=sql.SQL(" + ").join(scores),
        distance=sql.SQL("near.distance") if near else nothing,
        relevance=sql.SQL("words.relevance::double precision") if words else nothing,
        near=sql.SQL("(SELECT count(*) FROM near)" if near else "0"),
        keys=sql.SQL(", ").join(keys),
        limit=sql.Literal(plan.limit),
    )
    return statement, made.parameters


def _source(item: SearchQuery) -> sql.SQL:
    """Return the rankings that hits come from."""
    if item.vector is None:
        return sql.SQL("words")
    return sql.SQL("near" if item.text is None else "near FULL JOIN words USING ({keys})")


def _near(made: Statement, plan: _Plan, item: SearchQuery) -> sql.Composed:
    """Return the nearest rows with their ranks. The index serves this order and no other."""
    column = plan.column
    if column is None or column.vector is None:
        raise AssertionError("a column of vectors was looked for")
    # As a text of no type yet, which PostgreSQL reads as the operator wants it.
    vector = made.bind(orjson.dumps(item.vector).decode())
    distance = sql.SQL("{} {} {}::vector").format(
        sql.Identifier(column.name), sql.SQL(OPERATORS[column.vector.distance][0]), vector
    )
    present = Comparison(Value(column), "is", "not_null")
    return sql.SQL(
        "SELECT *, row_number() OVER (ORDER BY distance, {keys}) AS rank FROM "
        "(SELECT {columns}, {distance} AS distance FROM {table}{where} "
        "ORDER BY {distance} LIMIT {most}) AS rows"
    ).format(
        keys=_keys(plan),
        columns=_key_columns(plan),
        distance=distance,
        table=plan.dataset.table,
        where=made.where(plan.dataset, [*plan.query.filters, present]),
        most=sql.Literal(_wanted(plan, item)),
    )


def _matching(made: Statement, plan: _Plan, item: SearchQuery) -> sql.Composed:
    """Return the rows that words are found in, with their ranks by how close together these stand."""
    languages = {column.full_text for column in plan.dataset.columns if column.full_text}
    text = made.bind(item.text)
    asked = sql.SQL(" || ").join(
        sql.SQL("websearch_to_tsquery({}::regconfig, {}::text)").format(sql.Literal(language), text)
        for language in sorted(languages)
    )
    found = sql.SQL("({}) @@ ({})").format(plan.words or sql.SQL(""), asked)
    return sql.SQL(
        "SELECT *, row_number() OVER (ORDER BY relevance DESC, {keys}) AS rank FROM "
        "(SELECT {columns}, ts_rank_cd({words}, {asked}) AS relevance FROM {table}{where} "
        "ORDER BY relevance DESC, {keys} LIMIT {most}) AS rows"
    ).format(
        keys=_keys(plan),
        columns=_key_columns(plan),
        words=plan.words or sql.SQL(""),
        asked=asked,
        table=plan.dataset.table,
        where=made.where(plan.dataset, [*plan.query.filters, found]),
        most=sql.Literal(_wanted(plan, item)),
    )


def _keys(plan: _Plan) -> sql.Composed:
    count = len(plan.dataset.row_key())
    return sql.SQL(", ").join(sql.Identifier(f"k{place}") for place in range(count))


def _key_columns(plan: _Plan) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(column.name), sql.Identifier(f"k{place}"))
        for place, column in enumerate(plan.dataset.row_key())
    )


# -- what is in the rows ---------------------------------------------------------------------------


def _records(
    tx: Transaction, disclosure: Disclosure, plan: _Plan, keys: Sequence[Sequence[str]]
) -> Iterator[str | None]:
    """Return the rows with the keys, as JSON texts, in their order; None for one that is gone.

    Read in the caller's name, under row-level security, and shown as he may see them.
    """
    if not keys:
        return iter(())
    made = Statement(disclosure)
    columns = plan.dataset.row_key()
    arrays = [
        sql.SQL("{}::text[]::{}[]").format(
            made.bind([key[place] for key in keys]), sql.SQL(SQL_TYPES[column.type])
        )
        for place, column in enumerate(columns)
    ]
    outputs = [
        sql.SQL("{} AS {}").format(
            made.shown(plan.dataset, item, "found", grouped=False), identifier(item.name)
        )
        for item in plan.query.outputs
    ]
    same = [
        sql.SQL("found.{} = wanted.{}").format(
            sql.Identifier(column.name), sql.Identifier(f"k{place}")
        )
        for place, column in enumerate(columns)
    ]
    statement = sql.SQL(
        "SELECT CASE WHEN found.{first} IS NOT NULL THEN "
        "(SELECT row_to_json(outputs) FROM (SELECT {outputs}) AS outputs)::text END AS document "
        "FROM unnest({arrays}) WITH ORDINALITY AS wanted({keys}, place) "
        "LEFT JOIN {table} AS found ON {same} ORDER BY wanted.place"
    ).format(
        first=sql.Identifier(columns[0].name),
        outputs=sql.SQL(", ").join(outputs),
        arrays=sql.SQL(", ").join(arrays),
        keys=_keys(plan),
        table=plan.dataset.table,
        same=sql.SQL(" AND ").join(same),
    )
    found = [row["document"] for row in tx.all(statement, made.parameters)]
    shown = iter(disclosure.reveal([document for document in found if document is not None]))
    return iter([None if document is None else next(shown) for document in found])
