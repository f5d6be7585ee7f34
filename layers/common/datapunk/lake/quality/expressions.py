"""Expressions of rules, from their text to a part of a statement; imported late, as sqlglot is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import sql
from sqlglot import exp

from datapunk.lake.quality.composing import Column, Composer
from datapunk.lake.quality.conditions import refused
from datapunk.lake.quality.reading import read_expression, require_whole
from datapunk.lake.quality.rules import Expression
from datapunk.lake.quality.vocabulary import ExpressionError

_read = lru_cache(maxsize=256)(read_expression)


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
