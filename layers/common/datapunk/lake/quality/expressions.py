"""Expressions of rules, from their text to a part of a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg import sql

from datapunk.database import Transaction
from datapunk.errors import DatapunkError
from datapunk.lake.datasets import Dataset
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.quality.blaming import is_of_types
from datapunk.lake.quality.composing import Column, Composer, shown
from datapunk.lake.quality.conditions import Conditions, refused
from datapunk.lake.quality.reading import read_expression, require_whole
from datapunk.lake.quality.rules import Expression
from datapunk.lake.quality.vocabulary import ExpressionError, kind_of
from datapunk.lake.sql_parts import Statement, identifier

if TYPE_CHECKING:
    from sqlglot import exp

_PLAIN = frozenset({"Identifier", "DataType", "Var", "Literal", "Null"})
"""Nodes that are no values, or of whose type there is nothing to say."""
_read = lru_cache(maxsize=32)(read_expression)
"""Rules that are put are read twice; the tree of a long one takes a megabyte."""


@dataclass(frozen=True, slots=True)
class Composed:
    """An expression as a part of a statement, and the regular expressions in it."""

    condition: sql.Composable
    patterns: list[str]


def compose_expression(
    rule: Expression, column: Column, bind: Callable[[Any], sql.Composable]
) -> Composed:
    """Return a rule's expression with its columns composed and its values bound.

    Raises InvalidInputError, which says what to do, for one that is not on the lists of `vocabulary`.
    """
    composer = Composer(column, bind)
    try:
        tree: exp.Expr = _read(rule.expression)
        condition = composer.compose(tree)
        require_whole(rule.expression, tree)
        return Composed(condition, composer.patterns)
    except (ExpressionError, RecursionError) as error:
        said = str(error) if isinstance(error, ExpressionError) else "it is nested too deeply"
        raise refused(rule, said, "expression") from error


def find_culprit(tx: Transaction, dataset: Dataset, rule: Expression) -> str | None:
    """Return the smallest part of an expression whose types PostgreSQL refuses, None where no part is alone.

    It is asked to plan parts over no rows, from the whole down to where all that a part consists of is fine.
    """

    def is_refused(node: exp.Expr) -> bool:
        made = Statement(Disclosure(tx))
        conditions = Conditions(tx, dataset, made, table := made.new_table())
        part = Composer(conditions.columns(rule), made.bind).compose(node)
        statement = sql.SQL("SELECT {} FROM {} AS {} LIMIT 0").format(
            part, dataset.table, identifier(table)
        )
        try:
            with tx.savepoint():
                tx.execute(statement, made.parameters)
        except DatapunkError as error:
            return is_of_types(error)
        return False

    def smallest(node: exp.Expr) -> exp.Expr:
        found = (smallest(part) for part in _parts(node) if is_refused(part))
        return next(found, node)

    tree = _read(rule.expression)
    return shown(smallest(tree)) if is_refused(tree) else None


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the values that a part consists of."""
    for inner in node.iter_expressions():
        if kind_of(inner) == "If":
            yield from _parts(inner)
        elif kind_of(inner) not in _PLAIN:
            yield inner
