"""Expressions as trees: read by sqlglot, which takes a while to import, and which few functions have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from datapunk.lake.quality.vocabulary import ExpressionError

if TYPE_CHECKING:
    from sqlglot import Token, exp
    from sqlglot.dialects.postgres import Postgres

_DEEPEST = 20
"""Brackets within brackets, CASE among them."""
_MOST_TOKENS = 1_000
_LONGEST_VALUE = 1_000
_SYNTAX = frozenset({"CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM"})
_NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MOST_DIGITS = 100
_UNIT = "(?:millisecond|second|minute|hour|day|week|month|year)s?"
_INTERVAL = re.compile(rf"\s*(?:[+-]?[0-9]+(?:\.[0-9]+)?\s+{_UNIT}\s*)+", re.IGNORECASE)
_OPENING = frozenset({"L_PAREN", "L_BRACKET", "L_BRACE", "CASE"})
_CLOSING = frozenset({"R_PAREN", "R_BRACKET", "R_BRACE", "END"})
WRITTEN = "written"
"""What `meta` of parentheses has that are in the text."""


@cache
def failures() -> tuple[type[Exception], ...]:
    """Return what sqlglot raises about texts that are not SQL; only its own errors are meant to be."""
    from sqlglot.errors import SqlglotError

    others = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
    return (SqlglotError, *others)


def read_expression(text: str) -> exp.Expr:
    """Return the tree of one expression. Raises ExpressionError for what is none, or is too large.

    The tree has whatever sqlglot knows: what it may have is the composer's business.
    """
    if "\x00" in text:
        raise ExpressionError("it contains the NUL character")
    from sqlglot import ErrorLevel, exp

    try:
        dialect = _dialect()
        tokens = dialect.tokenize(text)
        _require_modest(tokens)
        parser = dialect.parser(error_level=ErrorLevel.IMMEDIATE)
        trees = parser.parse_into(exp.Condition, tokens, text)
    except ExpressionError:
        raise
    except RecursionError as error:
        raise ExpressionError("it is nested too deeply; make two rules of it") from error
    except failures() as error:
        raise ExpressionError(_unreadable(error)) from error
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError("it must be one expression, without a semicolon")
    return trees[0]


@cache
def _dialect() -> Postgres:
    """Return PostgreSQL's dialect, to which a function is a name with arguments, whatever it is called.

    Otherwise sqlglot has nodes of its own for some hundreds, and puts their arguments into another order.
    Parentheses that somebody wrote are marked, since sqlglot adds some where it takes them for meant.
    """
    from sqlglot import exp
    from sqlglot.dialects.postgres import Postgres

    known = Postgres.Parser

    class Expressions(Postgres):
        class Parser(known):  # type: ignore[misc,valid-type]
            FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012 -- as in the class it is derived from
            FUNCTION_PARSERS = {  # noqa: RUF012
                name: parse for name, parse in known.FUNCTION_PARSERS.items() if name in _SYNTAX
            }
            NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
                "CASE": known.NO_PAREN_FUNCTION_PARSERS["CASE"]
            }

            def _parse_paren(self) -> exp.Expr | None:
                found: exp.Expr | None = super()._parse_paren()
                if isinstance(found, exp.Paren):
                    found.meta[WRITTEN] = True
                return found

    return Expressions()


def _require_modest(tokens: Sequence[Token]) -> None:
    """Raise ExpressionError for what takes long to read, and for literals with parts that get lost."""
    if not tokens:
        raise ExpressionError("it is empty")
    if len(tokens) > _MOST_TOKENS:
        raise ExpressionError(f"it has more than {_MOST_TOKENS} words and signs")
    depth = 0
    for place, token in enumerate(tokens):
        if token.comments:
            raise ExpressionError("it has a comment; say what the rule is for in its name")
        kind = token.token_type.name
        depth += (kind in _OPENING) - (kind in _CLOSING)
        if depth > _DEEPEST:
            raise ExpressionError(f"it is nested more than {_DEEPEST} deep; make two rules of it")
        if kind == "NUMBER" and not _is_number(token.text):
            raise ExpressionError(f"{token.text[:40]} is not a number that can be used")
        if kind == "STRING":
            if len(token.text) > _LONGEST_VALUE:
                raise ExpressionError(f"a text in it has more than {_LONGEST_VALUE} characters")
            if _follows(tokens, place, "INTERVAL") and not _INTERVAL.fullmatch(token.text):
                raise ExpressionError("write intervals as in interval '1 day 12 hours'")


def _follows(tokens: Sequence[Token], place: int, kind: str) -> bool:
    return place > 0 and tokens[place - 1].token_type.name == kind


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and len(text) <= _MOST_DIGITS


def require_whole(text: str, tree: exp.Expr) -> None:
    """Raise ExpressionError where a value or a quoted name of the text is not in its tree.

    Of some things that it does not expect, as `interval '1 day ago'`, sqlglot keeps a part and says nothing.
    """
    from sqlglot import exp

    written = Counter(_written(_dialect().tokenize(text)))
    found = Counter(
        node.this
        for node in tree.find_all(exp.Literal, exp.Identifier)
        if isinstance(node.this, str)
    )
    lost = written - found
    if lost:
        raise ExpressionError(f"what is meant by {next(iter(lost))[:40]!r} in it is not clear")


def _written(tokens: Sequence[Token]) -> Iterator[str]:
    for place, token in enumerate(tokens):
        kind = token.token_type.name
        if kind == "IDENTIFIER" or (kind == "STRING" and not _follows(tokens, place, "INTERVAL")):
            yield token.text
        elif kind == "NUMBER":
            yield f"0.{token.text}" if _follows(tokens, place, "DOT") else token.text


def _unreadable(error: BaseException) -> str:
    """Say where an expression cannot be read, in words of its own text."""
    for detail in getattr(error, "errors", ()):
        near, line, column = (detail.get(key) for key in ("highlight", "line", "col"))
        if near and line:
            return f"it cannot be read at {near[:40]!r} (line {line}, up to character {column})"
    return "it cannot be read as an expression of SQL"
