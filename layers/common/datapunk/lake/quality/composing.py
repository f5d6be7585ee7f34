"""Trees of expressions as parts of our statements: a list of what may be in them, and nothing else passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from datapunk.lake.checks import Checks
from datapunk.lake.quality.reading import WRITTEN, failures
from datapunk.lake.quality.vocabulary import (
    ATOM,
    FIELDS,
    FUNCTIONS,
    IS,
    NOT,
    OPERATORS,
    OR,
    REGULAR,
    SIGN,
    SIZED,
    TRIMS,
    TYPES,
    WITHIN,
    WORDS,
    ZONE,
    ExpressionError,
    kind_of,
)

if TYPE_CHECKING:
    from sqlglot import exp

_MOST_NODES = 500
_DEEPEST = 60
_MOST_JOINED = 16
"""Texts that may be put together: what comes of them is held in memory, for each row."""
_INT4, _INT8 = 2**31, 2**63
_AS_WRITTEN = frozenset({"typed", "safe", "fraction_in_string", "nested", "quoted"})
"""What sqlglot notes of nodes for other dialects, or what is looked at elsewhere."""
_NOTHING = sql.SQL("NULL")

Column = Callable[[str, bool], sql.Composable]
"""Makes the expression of a column by its name; the flag tells whether it is only asked to be null or not."""


class Composer:
    """Composes one expression. `patterns` are the regular expressions in it, as they were found."""

    def __init__(self, column: Column, bind: Callable[[Any], sql.Composable]) -> None:
        self.column = column
        self.bind = bind
        self.patterns: list[str] = []
        self._nodes = 0
        self._joined = 0

    def compose(self, tree: exp.Expr) -> sql.Composable:
        """Return the expression. Raises ExpressionError for anything in it that is not on the lists."""
        return self._part(tree, OR, 0)

    # `least` is how tightly a part must bind to stand where it does without parentheses of its own. sqlglot
    # and PostgreSQL do not agree everywhere; where a tree keeps to PostgreSQL's precedences throughout,
    # it is the only one that does, so that what is measured is what PostgreSQL would read.

    def _part(self, node: Any, least: int, depth: int) -> sql.Composable:
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            raise ExpressionError("it has too many parts; make two rules of it")
        kind = kind_of(node)
        if kind == "Paren":
            _require_only(node, "this")
            return self._part(node.this, OR if node.meta.get(WRITTEN) else least, depth + 1)
        level, make = self._way(kind, node)
        if level < least:
            raise ExpressionError(f"put {shown(node)} into parentheses, so that it is read one way")
        return sql.SQL("({})").format(make(node, depth + 1))

    def _way(self, kind: str, node: exp.Expr) -> tuple[int, Callable[[Any, int], sql.Composable]]:
        if kind in OPERATORS:
            return OPERATORS[kind].level, self._operator
        if kind in WORDS:
            return ATOM, self._word
        ways: dict[str, tuple[int, Callable[[Any, int], sql.Composable]]] = {
            "Anonymous": (ATOM, self._function),
            "AtTimeZone": (ZONE, self._zone),
            "Between": (WITHIN, self._between),
            "Boolean": (ATOM, self._boolean),
            "Case": (ATOM, self._case),
            "Cast": (ATOM, self._cast),
            "Column": (ATOM, self._column),
            "Escape": (WITHIN, self._escape),
            "Extract": (ATOM, self._extract),
            "In": (WITHIN, self._in),
            "Interval": (ATOM, self._interval),
            "Is": (IS, self._is),
            "Literal": (ATOM, self._literal),
            "Neg": (SIGN, self._negative),
            "Not": (NOT, self._not),
            "Null": (ATOM, self._null),
            "StrPosition": (ATOM, self._position),
            "Substring": (ATOM, self._substring),
            "Trim": (ATOM, self._trim),
        }
        if kind not in ways:
            instead = f"; use {_INSTEAD[kind]}" if kind in _INSTEAD else ""
            raise ExpressionError(f"{shown(node)} cannot be part of a rule{instead}")
        return ways[kind]

    # -- operators ---------------------------------------------------------------------------------

    def _operator(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expression", "negate")
        operator = OPERATORS[kind := kind_of(node)]
        if kind in REGULAR:
            self._keep_pattern(node.args["expression"])
        if kind == "DPipe":
            self._joined += 1
            if self._joined > _MOST_JOINED:
                raise ExpressionError(f"it puts more than {_MOST_JOINED} texts together")
        found = sql.SQL("{} {} {}").format(
            self._part(node.this, operator.level + (not operator.chained), depth),
            sql.SQL(operator.written),
            self._part(node.args["expression"], operator.level + 1, depth),
        )
        return sql.SQL("NOT ({})").format(found) if node.args.get("negate") else found

    def _keep_pattern(self, node: Any) -> None:
        """Keep to the regular expressions of other rules: literals that can be tried beforehand."""
        if not (kind_of(node) == "Literal" and node.is_string):
            raise ExpressionError("a regular expression in it must be a text in quotes")
        try:
            Checks(pattern=node.this)
        except ValueError:
            raise ExpressionError(
                f"{node.this[:40]!r} is not a regular expression (without look-around and backreferences)"
            ) from None
        self.patterns.append(node.this)

    def _not(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this")
        return sql.SQL("NOT {}").format(self._part(node.this, NOT, depth))

    def _negative(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this")
        return sql.SQL("- {}").format(self._part(node.this, SIGN, depth))

    def _is(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expression", "negate")
        asked = node.args["expression"]
        word: LiteralString
        if kind_of(asked) == "Boolean":
            word = "IS NOT TRUE" if node.args.get("negate") else "IS TRUE"
            if not asked.this:
                word = "IS NOT FALSE" if node.args.get("negate") else "IS FALSE"
        elif kind_of(asked) == "Null":
            word = "IS NOT NULL" if node.args.get("negate") else "IS NULL"
            if kind_of(node.this) == "Column":
                return sql.SQL("{} {}").format(
                    self._column(node.this, depth, only_null=True), sql.SQL(word)
                )
        else:
            raise ExpressionError(
                "what follows IS can be NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM"
            )
        return sql.SQL("{} {}").format(self._part(node.this, IS + 1, depth), sql.SQL(word))

    def _between(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "low", "high", "symmetric")
        between = sql.SQL("BETWEEN SYMMETRIC" if node.args.get("symmetric") else "BETWEEN")
        parts = (self._part(node.args[name], WITHIN + 1, depth) for name in ("this", "low", "high"))
        value, low, high = parts
        return sql.SQL("{} {} {} AND {}").format(value, between, low, high)

    def _in(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expressions")
        listed = self._list(node.expressions, depth)
        if not node.expressions:
            raise ExpressionError("a list after IN has at least one value")
        return sql.SQL("{} IN ({})").format(self._part(node.this, WITHIN + 1, depth), listed)

    def _escape(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expression")
        like = node.this
        if kind_of(like) not in ("Like", "ILike"):
            raise ExpressionError("ESCAPE belongs to LIKE and ILIKE")
        _require_only(like, "this", "expression", "negate")
        found = sql.SQL("{} {} {} ESCAPE {}").format(
            self._part(like.this, WITHIN + 1, depth),
            sql.SQL(OPERATORS[kind_of(like)].written),
            self._part(like.args["expression"], WITHIN + 1, depth),
            self._part(node.args["expression"], WITHIN + 1, depth),
        )
        return sql.SQL("NOT ({})").format(found) if like.args.get("negate") else found

    def _zone(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "zone")
        return sql.SQL("{} AT TIME ZONE {}").format(
            self._part(node.this, ZONE, depth), self._part(node.args["zone"], ZONE + 1, depth)
        )

    # -- functions and what is written like them ---------------------------------------------------

    def _list(self, nodes: Sequence[Any], depth: int) -> sql.Composed:
        return sql.SQL(", ").join([self._part(node, OR, depth) for node in nodes])

    def _function(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expressions")
        name = node.this if isinstance(node.this, str) else str(node.this)
        arguments = node.expressions
        if name.lower() == "substr":
            return self._cut(arguments, depth)
        function = FUNCTIONS.get(name.lower())
        if function is None:
            raise ExpressionError(f"{name[:63]} is not among the functions that rules may call")
        if not function.least <= len(arguments) <= function.most:
            raise ExpressionError(f"{function.written} does not take {len(arguments)} values")
        return sql.SQL("{}({})").format(sql.SQL(function.written), self._list(arguments, depth))

    def _word(self, node: exp.Expr, depth: int) -> sql.Composable:  # noqa: ARG002 -- all have the same form
        _require_only(node)
        return sql.SQL(WORDS[kind_of(node)])

    def _substring(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "start", "length")
        parts = (node.this, node.args.get("start"), node.args.get("length"))
        return self._cut([part for part in parts if part is not None], depth)

    def _cut(self, parts: Sequence[Any], depth: int) -> sql.Composable:
        """Compose `substr`, of numbers only: with texts `substring` is one of regular expressions."""
        if len(parts) not in (2, 3):
            raise ExpressionError("substring takes a text, where to begin, and how many characters")
        text, *places = (self._part(part, OR, depth) for part in parts)
        numbers = [sql.SQL("{}::integer").format(place) for place in places]
        return sql.SQL("substr({}, {})").format(text, sql.SQL(", ").join(numbers))

    def _trim(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "position", "expression")
        parts = [part for part in (node.this, node.args.get("expression")) if part is not None]
        trim = TRIMS.get(str(node.args.get("position") or "").upper())
        if trim is None:
            raise ExpressionError("what is trimmed is LEADING, TRAILING or BOTH")
        return sql.SQL("{}({})").format(sql.SQL(trim), self._list(parts, depth))

    def _position(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "substr")
        parts = self._list([node.this, node.args["substr"]], depth)
        return sql.SQL("strpos({})").format(parts)

    def _extract(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "expression")
        field = FIELDS.get(str(node.this.this).upper())
        if field is None:
            raise ExpressionError(f"extract takes one of {', '.join(sorted(FIELDS)).lower()}")
        value = self._part(node.args["expression"], OR, depth)
        return sql.SQL("extract({} FROM {})").format(sql.SQL(field), value)

    def _case(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "ifs", "default")
        parts: list[sql.Composable] = [sql.SQL("CASE")]
        if node.this is not None:
            parts.append(self._part(node.this, OR, depth))
        for branch in node.args["ifs"]:
            _require_only(branch, "this", "true")
            when, then = (self._part(branch.args[name], OR, depth) for name in ("this", "true"))
            parts.append(sql.SQL("WHEN {} THEN {}").format(when, then))
        if (otherwise := node.args.get("default")) is not None:
            parts.append(sql.SQL("ELSE {}").format(self._part(otherwise, OR, depth)))
        return sql.SQL(" ").join([*parts, sql.SQL("END")])

    def _cast(self, node: exp.Expr, depth: int) -> sql.Composable:
        _require_only(node, "this", "to")
        target = node.args["to"]
        # What is cast by `::` binds most tightly, and what `CAST` has within its parentheses does so, too.
        return sql.SQL("CAST({} AS {})").format(self._part(node.this, OR, depth), _type(target))

    # -- names and values --------------------------------------------------------------------------

    def _column(self, node: exp.Expr, depth: int, *, only_null: bool = False) -> sql.Composable:  # noqa: ARG002
        if kind_of(node.this) != "Identifier":
            raise ExpressionError(f"{shown(node)} is no column")
        if node.args.get("table"):
            raise ExpressionError(
                "name columns without a table: there is only the row that is measured"
            )
        _require_only(node, "this")
        name = node.this.this
        return self.column(name if node.this.args.get("quoted") else name.lower(), only_null)

    def _literal(self, node: exp.Expr, depth: int) -> sql.Composable:  # noqa: ARG002
        _require_only(node, "this", "is_string")
        text = node.this
        if node.args["is_string"]:
            # Without a type, as PostgreSQL takes a text in quotes: what it stands beside gives it one.
            return self.bind(text)
        kind: LiteralString = "numeric"
        value: int | Decimal = Decimal(text)
        if text.isdigit():
            value = int(text)
            if value < _INT8:
                kind = "integer" if value < _INT4 else "bigint"
        return sql.SQL("{}::{}").format(self.bind(value), sql.SQL(kind))

    def _interval(self, node: exp.Expr, depth: int) -> sql.Composable:  # noqa: ARG002
        _require_only(node, "this", "unit")
        unit = node.args.get("unit")
        if kind_of(node.this) != "Literal" or kind_of(unit) not in ("Var", "NoneType"):
            raise ExpressionError("write intervals as in interval '1 day 12 hours'")
        text = f"{node.this.this} {unit.this if unit else ''}"
        return sql.SQL("{}::interval").format(self.bind(text))

    def _boolean(self, node: exp.Expr, depth: int) -> sql.Composable:  # noqa: ARG002
        _require_only(node, "this")
        return sql.SQL("TRUE" if node.this else "FALSE")

    def _null(self, node: exp.Expr, depth: int) -> sql.Composable:  # noqa: ARG002
        _require_only(node)
        return _NOTHING


_INSTEAD = {"JSONExtract": "jsonb_extract_path", "JSONExtractScalar": "jsonb_extract_path_text"}
"""Functions that do what operators would that are not known, by sqlglot's names of these."""


def _require_only(node: exp.Expr, *names: str) -> None:
    """Raise ExpressionError where sqlglot found something beside what is composed of a node."""
    for name, value in node.args.items():
        if name in names or name in _AS_WRITTEN or value is None or value is False or value == []:
            continue
        raise ExpressionError(f"{shown(node)} has a part that rules do not know")


def shown(node: exp.Expr) -> str:
    """Return a part as SQL, for a message, or the beginning of a long one."""
    try:
        text = node.sql(dialect="postgres")
    except failures():
        return "a part of it"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 -- with the dots as long


def _type(node: Any) -> sql.Composable:
    """Return a type to cast to."""
    if kind_of(node) != "DataType" or kind_of(node.this) != "DType":
        raise ExpressionError("it casts to a type that rules do not know")
    name = str(node.this.value)
    kind = TYPES.get(name)
    if kind is None:
        raise ExpressionError(
            f"rules do not cast to {shown(node).lower()}, but to {', '.join(sorted(set(TYPES.values())))}"
        )
    _require_only(node, "this", "expressions")
    most = SIZED.get(name, ())
    sizes = [_size(part) for part in node.expressions]
    if len(sizes) > len(most) or any(
        size > limit for size, limit in zip(sizes, most, strict=False)
    ):
        raise ExpressionError(f"{kind} does not take these numbers")
    if not sizes:
        return sql.SQL(kind)
    return sql.SQL("{}({})").format(sql.SQL(kind), sql.SQL(", ").join(map(sql.Literal, sizes)))


def _size(part: Any) -> int:
    number = part.this if kind_of(part) == "DataTypeParam" else None
    if number is None or kind_of(number) != "Literal" or not str(number.this).isdecimal():
        raise ExpressionError("the size of a type is a whole number")
    return int(number.this)
