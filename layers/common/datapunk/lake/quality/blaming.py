"""What PostgreSQL refuses about an expression, in words that say what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from datapunk.errors import DatapunkError
from datapunk.lake.quality.conditions import refused
from datapunk.lake.quality.rules import Expression, Rule

_TYPES = "type"
_VALUES = "value"
_REASONS: dict[str, tuple[str, str]] = {
    "42804": (
        _TYPES,
        "it must be true or false as a whole, and so must what stands beside AND, OR and NOT",
    ),
    "42883": (
        _TYPES,
        "an operator or a function in it gets values of types it does not take; cast them, as in n::numeric",
    ),
    "42725": (
        _TYPES,
        "the types of its values can be meant in several ways; cast them, as in price::numeric",
    ),
    "42846": (_TYPES, "it casts a value to a type that it cannot be cast to"),
    "42P18": (_TYPES, "the type of a value in it is not clear; cast it, as in 'x'::text"),
    "42P22": (_TYPES, "it compares texts whose order is not clear"),
    "42803": (_TYPES, "it may look at one row only"),
    "42809": (_TYPES, "it uses something as a function that is none"),
    "42601": (_TYPES, "it has a part that does not stand where it can"),
    "0A000": (_TYPES, "it asks for something that PostgreSQL does not do with these types"),
    "22012": (_VALUES, "it divides by zero; divide by nullif(x, 0), for which such rows pass"),
    "22003": (_VALUES, "a number gets too large for its type; cast it to numeric before"),
    "22P02": (
        _VALUES,
        "a text in it is no value of the type that it is read as; try it by a pattern first, in CASE",
    ),
    "22007": (_VALUES, "a text in it is no date or time; try it by a pattern first, in CASE"),
    "22008": (_VALUES, "a date or time in it is none, or out of range"),
    "22011": (_VALUES, "a length in it is negative"),
    "22023": (_VALUES, "it gives a function a value that the function does not know"),
    "22025": (_VALUES, "a pattern of LIKE in it ends with its escape character"),
    "2201B": (_VALUES, "a regular expression in it cannot be read by PostgreSQL"),
    "2201F": (_VALUES, "it takes the root of a negative number"),
    "54000": (_VALUES, "a value gets too large"),
    "54001": (_VALUES, "it is nested too deeply; make two rules of it"),
    "53200": (_VALUES, "it needs too much memory"),
}
_UNKNOWN_VALUE = (_VALUES, "it cannot be computed for all rows")


@contextmanager
def blaming(rules: Sequence[Rule]) -> Iterator[None]:
    """Blame what PostgreSQL refuses in the body on the first of the rules, if all are expressions.

    Raises InvalidInputError in place of errors of types, which the layer takes for its own, and of values.
    """
    try:
        yield
    except DatapunkError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        if state is None or not all(isinstance(rule, Expression) for rule in rules):
            raise
        reason = _REASONS.get(state) or (_UNKNOWN_VALUE if state.startswith("22") else None)
        if reason is None:
            raise
        code, message = reason
        raise refused(rules[0], message, code) from error


def is_of_types(error: BaseException | None) -> bool:
    """Tell whether an error of the layer's is PostgreSQL's of types, and not of a value."""
    state = getattr(error and error.__cause__, "sqlstate", None)
    return state in _REASONS and _REASONS[state][0] == _TYPES
