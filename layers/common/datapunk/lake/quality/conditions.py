"""Rules as parts of one statement: every value bound, every name composed and known to the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError, NotFoundError
from datapunk.lake.checks import as_utc
from datapunk.lake.columns import NEARNESS, SQL_TYPES, Column, ColumnType, stored_value
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.plan import Comparison, Condition, Logic
from datapunk.lake.plan import Field as RowField
from datapunk.lake.quality.rules import (
    Completeness,
    Expression,
    InRange,
    Pattern,
    Predicate,
    Referring,
    RowRule,
    Rule,
    Typed,
    TypeShape,
    Uniqueness,
)
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.grammar import Test, Tree, read_tree
from datapunk.lake.rest.resolving import comparison
from datapunk.lake.sql_parts import Statement, identifier

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DECIMAL)
TIMES = (ColumnType.DATE, ColumnType.TIMESTAMP)
_UNCOMPARED = (ColumnType.JSON, *NEARNESS)
_BOUNDS: dict[str, LiteralString] = {
    "minimum": ">=",
    "maximum": "<=",
    "exclusive_minimum": ">",
    "exclusive_maximum": "<",
}
_DATE = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_SHAPES: dict[TypeShape, str] = {
    TypeShape.INTEGER: r"^[+-]?[0-9]+$",
    TypeShape.DECIMAL: r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    TypeShape.BOOLEAN: r"^(true|false)$",
    TypeShape.UUID: r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    TypeShape.DATE: _DATE,
}
_WORDS = {"and": False, "or": False, "not.and": True, "not.or": True}


def refused(rule: Rule, message: str, code: str) -> InvalidInputError:
    """Return the error that a rule makes no sense for its dataset."""
    return InvalidInputError(
        f"The rule {rule.name} cannot be measured: {message}.",
        errors=[FieldError(f"rules.{rule.name}", message, code)],
    )


def column_of(dataset: Dataset, rule: Rule, name: str) -> Column:
    """Return the column a rule names. Raises InvalidInputError where there is none."""
    column = dataset.column(name)
    if column is None:
        raise refused(rule, f"{name} is not a column of {dataset.name}", "unknown_column")
    return column


def open_column(dataset: Dataset, rule: Rule, name: str) -> Column:
    """Return a column whose values a rule may look at.

    Raises InvalidInputError for one that is encrypted, or masked for anybody: scores are shown to all
    readers.
    """
    column = column_of(dataset, rule, name)
    if column.encrypted or column.masking is not None:
        how = "encrypted" if column.encrypted else "masked"
        raise refused(
            rule, f"{name} is {how}, and only its completeness can be measured", "protected"
        )
    return column


class Conditions:
    """Makes the condition that a row passes a rule, in a statement about one dataset."""

    def __init__(self, tx: Transaction, dataset: Dataset, made: Statement, table: str) -> None:
        self.tx = tx
        self.dataset = dataset
        self.made = made
        self.table = table
        self.counted: dict[str, sql.Composed] = {}
        """Window counts the source of the statement must have, by the name of their column."""
        self._makers: dict[str, Callable[[Any], sql.Composable]] = {
            "completeness": self._complete,
            "type": self._typed,
            "range": self._in_range,
            "pattern": self._matching,
            "uniqueness": self._alone,
            "reference": self._referring,
            "predicate": self._fulfilling,
            "sql": self._expressed,
        }

    def passes(self, rule: RowRule) -> sql.Composed:
        """Return the condition, never null, that a row passes a rule.

        Raises InvalidInputError where the rule makes no sense for the dataset.
        """
        return sql.SQL("(({}) IS NOT FALSE)").format(self._makers[rule.check_type](rule))

    def name(self, column: Column) -> sql.Identifier:
        """Return a column of the row as it is stored."""
        return self.made.column(column.name, self.table)

    def _complete(self, rule: Completeness) -> sql.Composable:
        column = column_of(self.dataset, rule, rule.column)
        return sql.SQL("{} IS NOT NULL").format(self.name(column))

    def _typed(self, rule: Typed) -> sql.Composable:
        name = self._text(rule, rule.column)
        found = sql.SQL("{} ~ {}").format(name, self.made.bind(_SHAPES[rule.type]))
        if rule.type is not TypeShape.DATE:
            return found
        # Within CASE the day is compared only where the text has the shape, and no month has too many.
        return sql.SQL(
            "CASE WHEN {name} IS NULL THEN NULL WHEN {name} LIKE '0000%%' OR NOT {found} THEN false "
            "ELSE right({name}, 2)::int <= extract(day FROM make_date(left({name}, 4)::int, "
            "substr({name}, 6, 2)::int, 1) + interval '1 month' - interval '1 day') END"
        ).format(name=name, found=found)

    def _text(self, rule: Typed | Pattern, name: str) -> sql.Identifier:
        column = open_column(self.dataset, rule, name)
        if column.type is not ColumnType.TEXT:
            raise refused(rule, f"{name} is {column.type}, and not text", "type")
        return self.name(column)

    def _in_range(self, rule: InRange) -> sql.Composable:
        column = open_column(self.dataset, rule, rule.column)

        def read(value: Any) -> Any:
            return stored_value(column.type, value)

        try:
            rule.checks.require_fit(column.type, read)
        except ValueError as error:
            raise refused(rule, str(error), "type") from None
        parts = [
            sql.SQL("{} {} {}::{}").format(
                self.name(column),
                sql.SQL(_BOUNDS[bound]),
                self.made.bind(as_utc(read(value))),
                sql.SQL(SQL_TYPES[column.type]),
            )
            for bound, value in rule.checks.bounds.items()
        ]
        return sql.SQL(" AND ").join(parts)

    def _matching(self, rule: Pattern) -> sql.Composable:
        return sql.SQL("{} ~ {}").format(
            self._text(rule, rule.column), self.made.bind(rule.pattern)
        )

    def _alone(self, rule: Uniqueness) -> sql.Composable:
        names = [self._compared(self.dataset, rule, name) for name in rule.columns]
        stored = sql.SQL(", ").join(self.made.column(column.name) for column in names)
        counted = f"n{len(self.counted)} of"  # no column has a blank in its name
        self.counted[counted] = sql.SQL("count(*) OVER (PARTITION BY {})").format(stored)
        lacking = sql.SQL(" OR ").join(
            sql.SQL("{} IS NULL").format(self.name(column)) for column in names
        )
        return sql.SQL("{} = 1 OR {}").format(identifier(self.table, counted), lacking)

    def _compared(self, dataset: Dataset, rule: Rule, name: str) -> Column:
        column = open_column(dataset, rule, name)
        if column.type in _UNCOMPARED:
            raise refused(rule, f"{name} is {column.type}, which is not compared", "type")
        return column

    def _referring(self, rule: Referring) -> sql.Composable:
        try:
            target = find_dataset(self.tx, rule.dataset)
        except NotFoundError:
            raise refused(
                rule, f"there is no dataset called {rule.dataset}", "unknown_dataset"
            ) from None
        here = [self._compared(self.dataset, rule, name) for name in rule.columns]
        there = [self._compared(target, rule, name) for name in rule.references]
        for ours, theirs in zip(here, there, strict=True):
            if ours.type is not theirs.type:
                message = f"{ours.name} and {target.name}.{theirs.name} have different types"
                raise refused(rule, message, "type")
        own = sql.SQL(", ").join(map(self.name, here))
        other = self.made.new_table()
        others = [self.made.column(column.name, other) for column in there]
        # A null among the others would make "is not there" unknown.
        return sql.SQL("({}) IN (SELECT {} FROM {} AS {} WHERE {})").format(
            own,
            sql.SQL(", ").join(others),
            target.table,
            identifier(other),
            sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(name) for name in others),
        )

    def _fulfilling(self, rule: Predicate) -> sql.Composable:
        condition = read_predicate(self.dataset, rule)
        for item in _comparisons(condition):
            column = item.field.column
            if not (item.operator == "is" and item.value in ("null", "not_null")):
                open_column(self.dataset, rule, column.name)
        return self.made.condition(self.dataset, condition, self.table)

    def _expressed(self, rule: Expression) -> sql.Composable:
        from datapunk.lake.quality.expressions import compose_expression

        return compose_expression(rule, self.columns(rule), self.made.bind).condition

    def columns(self, rule: Expression) -> Callable[[str, bool], sql.Composable]:
        """Return what makes the columns that an expression names."""

        def column(name: str, only_null: bool) -> sql.Composable:  # noqa: FBT001 -- as the composer calls it
            found = column_of(self.dataset, rule, name)
            if not only_null:
                found = open_column(self.dataset, rule, name)
                if found.type in NEARNESS:
                    raise refused(rule, f"{name} is {found.type}, which is not compared", "type")
            return self.name(found)

        return column

    def values(self, column: Column) -> sql.Composable:
        """Return the values of a numeric column as those of double precision."""
        return sql.SQL("{}::float8").format(self.made.field(RowField(column), self.table))


def read_predicate(dataset: Dataset, rule: Predicate) -> Condition:
    """Return the condition a predicate is, in the words of the REST face and by its compiler.

    Raises InvalidInputError for what cannot be read, names unknown columns or does not fit their types.
    """
    word, _, text = rule.predicate.partition("=")
    if word not in _WORDS or "\x00" in text:
        raise refused(rule, f"it begins with one of {', '.join(_WORDS)} and =", "syntax")
    try:
        tree = read_tree(word.removeprefix("not."), text, negated=_WORDS[word])
        return _condition(dataset, tree)
    except RestError as error:
        said = "; ".join(filter(None, (error.message, error.details)))
        raise refused(rule, said, "predicate") from error


def _condition(dataset: Dataset, item: Test | Tree) -> Condition:
    if isinstance(item, Test):
        return comparison(dataset, item)
    items = tuple(_condition(dataset, inner) for inner in item.items)
    return Logic("and" if item.word == "and" else "or", items, item.negated)


def _comparisons(item: Condition) -> Iterator[Comparison]:
    if isinstance(item, Comparison):
        yield item
    elif isinstance(item, Logic):
        for inner in item.items:
            yield from _comparisons(inner)
