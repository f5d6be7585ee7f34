"""Changes of a dataset as PostgreSQL is told them: short ones, or such that are given up after seconds."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString

from psycopg import sql

from datapunk.context import remaining_seconds
from datapunk.database import Transaction, load_queries
from datapunk.database.failures import is_cancelled
from datapunk.errors import ConflictError, DeadlineExceededError, FieldError
from datapunk.lake import changes as change_models
from datapunk.lake.changes import ColumnChange, SetChecks
from datapunk.lake.columns import SQL_TYPES, Column, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.partitions import validate_rule
from datapunk.lake.privacy.cells import blind_column
from datapunk.lake.tables import (
    check_constraint,
    check_name,
    column_definition,
    default_literal,
    nearness_indexes,
    words_index,
    words_name,
    words_of,
)

REWRITE_SECONDS = 5.0
"""How long a table may be closed to everybody while its rows are rewritten."""
_SQL = Path(__file__).parent / "datasets.sql"
_EXACT = 2**53


def validate_rules(tx: Transaction, table: str) -> None:
    """Validate the rules of a table that are not yet. To be called as the owner."""
    for row in tx.all(load_queries(_SQL)["unvalidated"], {"table": table}):
        validate_rule(tx, table, row["name"])


def alter_table(tx: Transaction, change: ColumnChange, old: Dataset, new: Dataset) -> None:
    """Do to the table what a change does to the definition. To be called as the owner.

    Raises ConflictError for what the rows do not bear, ContentionError when the table is in use for long.
    """
    if isinstance(change, change_models.AddColumn):
        _add(tx, new, change.column)
        for index in nearness_indexes(new, change.column):
            _rewrite(tx, index, change.column.name)
        _index_words(tx, old, new, change.column.name)
        return
    before = old.column(change.column)
    if before is None:  # pragma: no cover -- the change was applied in memory already
        raise AssertionError(change)
    name = sql.Identifier(before.name)
    if isinstance(change, change_models.RenameColumn):
        _rename(tx, new, before, change.name)
    elif isinstance(change, change_models.DropColumn):
        _drop(tx, new, before)
        _index_words(tx, old, new, before.name)
    elif isinstance(change, change_models.MakeNullable):
        _run(tx, new, sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(name))
    elif isinstance(change, change_models.SetDefault):
        _set_default(tx, new, new.column(before.name) or before)
    elif isinstance(change, SetChecks):
        _drop_rules(tx, new, before)
        _add_rules(tx, new, new.column(before.name) or before, valid=False)
    elif isinstance(change, change_models.WidenColumn):
        _widen(tx, new, before, new.column(before.name) or before)


def _run(tx: Transaction, dataset: Dataset, action: sql.Composed) -> None:
    tx.execute(sql.SQL("ALTER TABLE {} {}").format(dataset.table, action))


def _add(tx: Transaction, dataset: Dataset, column: Column) -> None:
    _run(tx, dataset, sql.SQL("ADD COLUMN {}").format(column_definition(column)))
    if column.searchable:
        index = blind_column(column)
        _run(tx, dataset, sql.SQL("ADD COLUMN {}").format(column_definition(index)))
        statement = sql.SQL("CREATE INDEX ON {} ({})")
        tx.execute(statement.format(dataset.table, sql.Identifier(index.name)))
    _add_rules(tx, dataset, column, valid=False)


def _drop(tx: Transaction, dataset: Dataset, column: Column) -> None:
    columns = [column, *([blind_column(column)] if column.searchable else [])]
    for item in columns:
        _run(tx, dataset, sql.SQL("DROP COLUMN {}").format(sql.Identifier(item.name)))


def _rename(tx: Transaction, dataset: Dataset, before: Column, name: str) -> None:
    if before.name == name:
        return
    statement = sql.SQL("RENAME COLUMN {} TO {}")
    _run(tx, dataset, statement.format(sql.Identifier(before.name), sql.Identifier(name)))
    if check_constraint(before) is not None:
        names = [sql.Identifier(check_name(item)) for item in (before.name, name)]
        _run(tx, dataset, sql.SQL("RENAME CONSTRAINT {} TO {}").format(*names))


def _set_default(tx: Transaction, dataset: Dataset, column: Column) -> None:
    action: LiteralString = "ALTER COLUMN {} DROP DEFAULT"
    parts: list[sql.Composable] = [sql.Identifier(column.name)]
    if column.default is not None:
        action = "ALTER COLUMN {} SET DEFAULT {}"
        parts.append(default_literal(column))
    _run(tx, dataset, sql.SQL(action).format(*parts))


def _drop_rules(tx: Transaction, dataset: Dataset, column: Column) -> None:
    name = sql.Identifier(check_name(column.name))
    _run(tx, dataset, sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(name))


def _add_rules(tx: Transaction, dataset: Dataset, column: Column, *, valid: bool) -> None:
    if (constraint := check_constraint(column)) is not None:
        ending = sql.SQL("" if valid else " NOT VALID")
        _run(tx, dataset, sql.SQL("ADD {}{}").format(constraint, ending))


def _widen(tx: Transaction, dataset: Dataset, before: Column, after: Column) -> None:
    """Give a column its wider type: the table is closed while its rows are written anew, for seconds."""
    name = sql.Identifier(before.name)
    if (before.type, after.type) == (ColumnType.INTEGER, ColumnType.NUMBER):
        beyond = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} NOT BETWEEN {} AND {})")
        question = beyond.format(dataset.table, name, sql.Literal(-_EXACT), sql.Literal(_EXACT))
        if tx.value(question):
            message = "has values beyond 2^53, which a number would round: widen it to decimal"
            raise ConflictError(
                f"{before.name} {message}.", errors=[FieldError(before.name, message, "lossy")]
            )
    if check_constraint(before) is not None:
        _drop_rules(tx, dataset, before)
    if before.default is not None:
        _run(tx, dataset, sql.SQL("ALTER COLUMN {} DROP DEFAULT").format(name))
    statement = sql.SQL("ALTER COLUMN {} TYPE {} USING {}")
    kind = sql.SQL(SQL_TYPES[after.type])
    action = statement.format(name, kind, converted(before.name, before.type, after.type))
    _rewrite(tx, sql.SQL("ALTER TABLE {} {}").format(dataset.table, action), before.name)
    if after.default is not None:
        _set_default(tx, dataset, after)
    _add_rules(tx, dataset, after, valid=True)


def converted(name: str, old: ColumnType, new: ColumnType) -> sql.Composed:
    """Return the expression whose value is that of a column of a narrower type, to the last digit."""
    forms: dict[tuple[ColumnType, ColumnType], LiteralString] = {
        # PostgreSQL would round to 15 digits; the text has as many as the number needs.
        (ColumnType.NUMBER, ColumnType.DECIMAL): "{}::text::numeric",
        (ColumnType.DATE, ColumnType.TIMESTAMP): "{}::timestamp AT TIME ZONE 'UTC'",
    }
    form: LiteralString = "{}::" + SQL_TYPES[new]
    return sql.SQL(forms.get((old, new), form)).format(sql.Identifier(name))


def _index_words(tx: Transaction, old: Dataset, new: Dataset, column: str) -> None:
    """Make the index over the words anew when other columns than before have them."""
    if words_of(old.columns) == words_of(new.columns):
        return
    tx.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(words_name(new)))
    if (index := words_index(new)) is not None:
        _rewrite(tx, index, column)


def _rewrite(tx: Transaction, statement: sql.Composed, column: str) -> None:
    before = tx.value("SELECT current_setting('statement_timeout')")
    most = int(min(REWRITE_SECONDS, max(remaining_seconds(), 0.001)) * 1000)
    setting = "SELECT set_config('statement_timeout', %s, true)"
    tx.execute(setting, (str(most),))
    try:
        tx.execute(statement)
    except DeadlineExceededError as error:
        if not is_cancelled(error):
            raise
        message = (
            f"has more rows than can be rewritten in {REWRITE_SECONDS:.0f} s, while nobody could read "
            "them: add a column of the other type and fill it"
        )
        raise ConflictError(
            f"{column} {message}.", errors=[FieldError(column, message, "too_large")]
        ) from error
    tx.execute(setting, (before,))
