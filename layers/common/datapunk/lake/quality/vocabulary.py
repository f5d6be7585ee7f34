"""What an expression of a rule may say: operators, functions, types and fields, and how we write them.

Nothing of an expression's text reaches PostgreSQL but names of columns that there are, and bound values. All
the rest of a statement comes from these tables. What is in them reads a row and nothing else, cannot write,
and takes time and memory in proportion to what it is given. Hence no powers, no `repeat`, `lpad` or
`replace`, nothing that counts rows, and regular expressions only as literals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString


class ExpressionError(ValueError):
    """An expression is not one that a rule may have; the message says why and what to do."""


def kind_of(node: Any) -> str:
    """Return sqlglot's name of a node. The library itself is only where an expression is read."""
    return type(node).__name__


# PostgreSQL's precedences, the loosest first.
OR, AND, NOT, IS, COMPARISON, WITHIN, OTHER, SUM, PRODUCT, ZONE, SIGN, ATOM = range(12)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator between two values: how tightly it binds, and whether `a op b op c` is `(a op b) op c`."""

    written: LiteralString
    level: int
    chained: bool = False


OPERATORS: dict[str, Operator] = {
    "Or": Operator("OR", OR, chained=True),
    "And": Operator("AND", AND, chained=True),
    "EQ": Operator("=", COMPARISON),
    "NEQ": Operator("<>", COMPARISON),
    "LT": Operator("<", COMPARISON),
    "LTE": Operator("<=", COMPARISON),
    "GT": Operator(">", COMPARISON),
    "GTE": Operator(">=", COMPARISON),
    "NullSafeEQ": Operator("IS NOT DISTINCT FROM", IS),
    "NullSafeNEQ": Operator("IS DISTINCT FROM", IS),
    "Like": Operator("LIKE", WITHIN),
    "ILike": Operator("ILIKE", WITHIN),
    "RegexpLike": Operator("~", OTHER, chained=True),
    "RegexpILike": Operator("~*", OTHER, chained=True),
    "DPipe": Operator("||", OTHER, chained=True),
    "ArrayContainsAll": Operator("@>", OTHER, chained=True),
    "ArrayContainedBy": Operator("<@", OTHER, chained=True),
    "ArrayOverlaps": Operator("&&", OTHER, chained=True),
    "Add": Operator("+", SUM, chained=True),
    "Sub": Operator("-", SUM, chained=True),
    "Mul": Operator("*", PRODUCT, chained=True),
    "Div": Operator("/", PRODUCT, chained=True),
    # A percent sign stands for itself by two of them in a statement with parameters.
    "Mod": Operator("%%", PRODUCT, chained=True),
}
"""By the name of sqlglot's node."""
REGULAR = frozenset({"RegexpLike", "RegexpILike"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function, and how many values it takes."""

    written: LiteralString
    least: int
    most: int


_MANY = 32
FUNCTIONS: dict[str, Function] = {
    "coalesce": Function("coalesce", 1, _MANY),
    "nullif": Function("nullif", 2, 2),
    "greatest": Function("greatest", 1, _MANY),
    "least": Function("least", 1, _MANY),
    "num_nulls": Function("num_nulls", 1, _MANY),
    "num_nonnulls": Function("num_nonnulls", 1, _MANY),
    # numbers
    "abs": Function("abs", 1, 1),
    "ceil": Function("ceil", 1, 1),
    "ceiling": Function("ceil", 1, 1),
    "div": Function("div", 2, 2),
    "floor": Function("floor", 1, 1),
    "mod": Function("mod", 2, 2),
    "round": Function("round", 1, 2),
    "sign": Function("sign", 1, 1),
    "sqrt": Function("sqrt", 1, 1),
    "trunc": Function("trunc", 1, 2),
    # texts
    "btrim": Function("btrim", 1, 2),
    "char_length": Function("length", 1, 1),
    "character_length": Function("length", 1, 1),
    "initcap": Function("initcap", 1, 1),
    "left": Function("left", 2, 2),
    "length": Function("length", 1, 1),
    "lower": Function("lower", 1, 1),
    "ltrim": Function("ltrim", 1, 2),
    "octet_length": Function("octet_length", 1, 1),
    "reverse": Function("reverse", 1, 1),
    "right": Function("right", 2, 2),
    "rtrim": Function("rtrim", 1, 2),
    "split_part": Function("split_part", 3, 3),
    "starts_with": Function("starts_with", 2, 2),
    "strpos": Function("strpos", 2, 2),
    "translate": Function("translate", 3, 3),
    "upper": Function("upper", 1, 1),
    # dates and times
    "date_part": Function("date_part", 2, 2),
    "date_trunc": Function("date_trunc", 2, 2),
    "isfinite": Function("isfinite", 1, 1),
    "make_date": Function("make_date", 3, 3),
    "now": Function("now", 0, 0),
    # json and ranges
    "isempty": Function("isempty", 1, 1),
    "jsonb_array_length": Function("jsonb_array_length", 1, 1),
    "jsonb_extract_path": Function("jsonb_extract_path", 2, _MANY),
    "jsonb_extract_path_text": Function("jsonb_extract_path_text", 2, _MANY),
    "jsonb_typeof": Function("jsonb_typeof", 1, 1),
}
"""By their names, in lower case. None of them is volatile, and none reads anything but its arguments."""
WORDS: dict[str, LiteralString] = {
    "CurrentDate": "CURRENT_DATE",
    "CurrentTimestamp": "CURRENT_TIMESTAMP",
}
"""Values with a name, by the name of sqlglot's node."""
TRIMS: dict[str, LiteralString] = {
    "": "btrim",
    "BOTH": "btrim",
    "LEADING": "ltrim",
    "TRAILING": "rtrim",
}

# sqlglot has one name for `real` and `float`, which are two types to PostgreSQL; neither is here.
TYPES: dict[str, LiteralString] = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DECIMAL": "numeric",
    "DOUBLE": "double precision",
    "INT": "integer",
    "INTERVAL": "interval",
    "JSON": "jsonb",
    "JSONB": "jsonb",
    "SMALLINT": "smallint",
    "TEXT": "text",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "UUID": "uuid",
    "VARCHAR": "varchar",
}
"""Types to cast to, by sqlglot's names."""
SIZED: dict[str, tuple[int, ...]] = {"DECIMAL": (1000, 1000), "VARCHAR": (10_000_000,)}
"""Types with numbers in parentheses, and the greatest of each."""

FIELDS: dict[str, LiteralString] = {
    "CENTURY": "century",
    "DAY": "day",
    "DOW": "dow",
    "DOY": "doy",
    "EPOCH": "epoch",
    "HOUR": "hour",
    "ISODOW": "isodow",
    "ISOYEAR": "isoyear",
    "MILLISECONDS": "milliseconds",
    "MINUTE": "minute",
    "MONTH": "month",
    "QUARTER": "quarter",
    "SECOND": "second",
    "WEEK": "week",
    "YEAR": "year",
}
"""What `extract` takes of a time."""
