"""The table of a dataset: what PostgreSQL is told, composed of checked names and literals."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.types.json import Jsonb

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.checks import check_expression
from datapunk.lake.columns import (
    SQL_TYPES,
    Column,
    ColumnType,
    default_value,
    stored_type,
    stored_value,
    utc_default,
)
from datapunk.lake.definition import OnDelete, Reference
from datapunk.lake.geometry import SQL_KINDS
from datapunk.lake.partitions import SCHEMA, first_partitions, months_around
from datapunk.lake.privacy.cells import blind_column, searchable
from datapunk.lake.searchable import OPERATORS

if TYPE_CHECKING:
    from datapunk.lake.datasets import Dataset

ROW_ID = "_id"
"""The key of tables whose dataset declares none."""
_ON_DELETE: dict[OnDelete, sql.SQL] = {
    OnDelete.RESTRICT: sql.SQL("RESTRICT"),
    OnDelete.CASCADE: sql.SQL("CASCADE"),
    OnDelete.SET_NULL: sql.SQL("SET NULL"),
}


def require_patterns(tx: Transaction, columns: Sequence[Column]) -> None:
    """Raise InvalidInputError for patterns that PostgreSQL reads otherwise than we do, or not at all."""
    for column in columns:
        if column.checks is None or column.checks.pattern is None:
            continue
        try:
            tx.value("SELECT '' ~ %s", (column.checks.pattern,))
        except InvalidInputError as error:
            message = f"PostgreSQL cannot read the pattern of {column.name}"
            raise InvalidInputError(
                f"{message}.", errors=[FieldError("columns", message, "pattern")]
            ) from error


def table_statements(dataset: Dataset, tenant: str) -> Iterator[sql.Composed]:
    """Yield the statements that create the dataset's table, under row-level security.

    A table holds the rows of one tenant, so its policy compares that tenant once per statement; rows need
    no column for it, and bulk loads pay nothing. References come later, when both tables are there.
    """
    parts: list[sql.Composable] = []
    if not dataset.key:
        # A cached sequence takes numbers by the thousand: loads are a sixth faster, gaps harm nobody.
        identity = "{} bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000)"
        parts.append(sql.SQL(identity).format(sql.Identifier(ROW_ID)))
    parts += [column_definition(column) for column in dataset.columns]
    parts += [column_definition(blind_column(column)) for column in searchable(dataset)]
    for column in dataset.columns:
        if (constraint := check_constraint(column)) is not None:
            parts.append(constraint)
    parts.append(sql.SQL("PRIMARY KEY ({})").format(_names(primary_key(dataset))))
    parts += [sql.SQL("UNIQUE ({})").format(_names(unique)) for unique in dataset.unique]
    partition: sql.Composable = sql.SQL("")
    if dataset.event_time:
        time = sql.Identifier(dataset.event_time)
        partition = sql.SQL(" PARTITION BY RANGE ({})").format(time)
    yield sql.SQL("CREATE TABLE {} ({}){}").format(
        dataset.table, sql.SQL(", ").join(parts), partition
    )
    yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(dataset.table)
    isolation = (
        "CREATE POLICY tenant_isolation ON {table} USING (platform.current_tenant() = {tenant}) "
        "WITH CHECK (platform.current_tenant() = {tenant})"
    )
    yield sql.SQL(isolation).format(table=dataset.table, tenant=sql.Literal(tenant))
    for names in chosen_indexes(dataset):
        yield sql.SQL("CREATE INDEX ON {} ({})").format(dataset.table, _names(names))
    for item in dataset.columns:
        yield from nearness_indexes(dataset, item)
    if (words := words_index(dataset)) is not None:
        yield words
    if dataset.event_time:
        today = dt.datetime.now(dt.UTC).date()
        yield from first_partitions(SCHEMA, dataset.table_name, months_around(today))


def primary_key(dataset: Dataset) -> list[str]:
    """Return the columns of the table's primary key; PostgreSQL wants that of the partitions in it."""
    if dataset.key:
        return list(dataset.key)
    return [ROW_ID, dataset.event_time] if dataset.event_time else [ROW_ID]


def chosen_indexes(dataset: Dataset) -> list[tuple[str, ...]]:
    """Return the indexes besides those of keys: declared ones, references, the event time.

    What another index or key begins with is served by that one.
    """
    wanted = [*dataset.indexes, *(link.columns for link in dataset.references)]
    wanted += [(blind_column(column).name,) for column in searchable(dataset)]
    if dataset.subject:
        wanted.append((dataset.subject,))
    if dataset.event_time:
        wanted.append((dataset.event_time,))
    served = [tuple(primary_key(dataset)), *dataset.unique]
    chosen: list[tuple[str, ...]] = []
    for names in sorted(dict.fromkeys(wanted), key=len, reverse=True):
        if not any(other[: len(names)] == names for other in [*served, *chosen]):
            chosen.append(names)
    return chosen


def column_definition(column: Column) -> sql.Composed:
    """Return the column as CREATE TABLE and ADD COLUMN take it."""
    default: sql.Composable = sql.SQL("")
    if column.default is not None:
        default = sql.SQL(" DEFAULT {}").format(default_literal(column))
    return sql.SQL("{} {}{}{}").format(
        sql.Identifier(column.name),
        _sql_type(column),
        sql.SQL("" if column.nullable else " NOT NULL"),
        default,
    )


def _sql_type(column: Column) -> sql.Composable:
    kind = sql.SQL(stored_type(column))
    if column.geo is not None:
        return sql.SQL(SQL_KINDS[column.geo.kind])
    if column.vector is None:
        return kind
    return sql.SQL("{}({})").format(kind, sql.Literal(column.vector.dimension))


def nearness_indexes(dataset: Dataset, column: Column) -> Iterator[sql.Composed]:
    """Yield the statements of the indexes by which near vectors or places are found; none for other columns.

    For vectors HNSW (Malkov and Yashunin 2018) with pgvector's defaults: 16 links, 64 candidates while it is
    built. For places two of GiST: by longitude and latitude, and on the spheroid, for distances in metres.
    """
    name = sql.Identifier(column.name)
    if column.vector is not None:
        yield sql.SQL("CREATE INDEX ON {} USING hnsw ({} {})").format(
            dataset.table, name, sql.SQL(OPERATORS[column.vector.distance][1])
        )
    if column.geo is not None:
        yield sql.SQL("CREATE INDEX ON {} USING gist ({})").format(dataset.table, name)
        yield sql.SQL("CREATE INDEX ON {} USING gist (({}::geography))").format(dataset.table, name)


def words_of(columns: Sequence[Column]) -> sql.Composed | None:
    """Return the expression of all words that can be searched; None when no column has any."""
    words = sql.SQL("to_tsvector({}::regconfig, coalesce({}, ''))")
    parts = [
        words.format(sql.Literal(column.full_text), sql.Identifier(column.name))
        for column in columns
        if column.full_text is not None
    ]
    return sql.SQL(" || ").join(parts) if parts else None


def words_name(dataset: Dataset) -> sql.Identifier:
    """Return the name of the index over the words, which is made anew when its columns change."""
    return sql.Identifier(SCHEMA, f"{dataset.table_name}_words")


def words_index(dataset: Dataset) -> sql.Composed | None:
    """Return the statement of the index by which words are found; None when no column has any."""
    words = words_of(dataset.columns)
    if words is None:
        return None
    return sql.SQL("CREATE INDEX {} ON {} USING gin (({}))").format(
        sql.Identifier(f"{dataset.table_name}_words"), dataset.table, words
    )


def default_literal(column: Column) -> sql.Composed:
    """Return the column's default as a literal of its type."""
    value = utc_default(column)
    if column.type is ColumnType.JSON:
        value = Jsonb(default_value(column))
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(SQL_TYPES[column.type]))


def check_name(column: str) -> str:
    """Return the name of the constraint that holds a column's checks."""
    return f"ck_{column[:50]}_{hashlib.sha256(column.encode()).hexdigest()[:8]}"


def _expression(column: Column) -> sql.Composable | None:
    if column.geo is not None:
        # What lies inside rings that cross themselves is not defined.
        valid = sql.SQL("ST_IsValid({})").format(sql.Identifier(column.name))
        return valid if column.geo.crossing else None
    if column.checks is None or column.encrypted:
        return None  # the table cannot see what it holds: rows are checked when they are written
    return check_expression(
        column.name,
        column.checks,
        lambda value: stored_value(column.type, value),
        SQL_TYPES[column.type],
    )


def broken_by(dataset: Dataset, column: Column) -> sql.Composed | None:
    """Return the query that tells whether rows break the column's checks; None when it has none."""
    expression = _expression(column)
    if expression is None:
        return None
    question = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE NOT ({}))")
    return question.format(dataset.table, expression)


def check_constraint(column: Column) -> sql.Composed | None:
    """Return the column's checks as a table constraint, None when it has none."""
    expression = _expression(column)
    if expression is None:
        return None
    name = sql.Identifier(check_name(column.name))
    return sql.SQL("CONSTRAINT {} CHECK ({})").format(name, expression)


def foreign_key(
    dataset: Dataset, link: Reference, target: Dataset, *, validate: bool = True
) -> sql.Composed:
    """Return the statement that makes a reference a foreign key, which is called as the reference is."""
    statement = (
        "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) "
        "REFERENCES {target} ({theirs}) ON DELETE {action}{valid}"
    )
    return sql.SQL(statement).format(
        table=dataset.table,
        name=sql.Identifier(str(link.name)),
        columns=_names(link.columns),
        target=target.table,
        theirs=_names(link.references or target.key),
        action=_ON_DELETE[link.on_delete],
        valid=sql.SQL("" if validate else " NOT VALID"),
    )


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
