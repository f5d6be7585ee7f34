"""Rules that the values of a column keep to: declared as data, never as SQL.

They are checked twice: with the request, so that a refusal names row and column, and by PostgreSQL, so that
nothing gets around them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated, Any, LiteralString

from psycopg import sql
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, SchemaError

Value = StrictInt | StrictFloat | Annotated[StrictStr, StringConstraints(max_length=1000)]
Read = Callable[[Any], Any]
"""Makes a value of the column's type of a JSON value; raises ValueError."""

ORDERED = frozenset({"integer", "number", "decimal", "date", "timestamp"})
LISTED = frozenset({"text", "integer", "number", "decimal", "date", "uuid"})
_BOUNDS: dict[str, tuple[LiteralString, str]] = {
    "minimum": (">=", "must be at least {}"),
    "maximum": ("<=", "must be at most {}"),
    "exclusive_minimum": (">", "must be more than {}"),
    "exclusive_maximum": ("<", "must be less than {}"),
}


class Checks(BaseModel):
    """Rules of a column. All that are given must hold; null is never checked."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"minimum": 0}]}
    )

    minimum: Value | None = None
    maximum: Value | None = None
    exclusive_minimum: Value | None = None
    exclusive_maximum: Value | None = None
    min_length: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None
    max_length: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None
    pattern: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Regular expression that is found in the text; `^` and `$` tie it to the ends.",
    )
    enum: Annotated[tuple[Value, ...], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _pattern_can_be_used(self) -> Checks:
        if self.pattern is not None:
            if "\x00" in self.pattern:
                raise ValueError("the pattern contains the NUL character")
            try:
                _pattern(self.pattern)
            except SchemaError:
                raise ValueError(
                    "the pattern is not a regular expression (without look-around and backreferences)"
                ) from None
        return self

    @property
    def empty(self) -> bool:
        """Whether nothing is checked."""
        return not self.model_dump(exclude_none=True)

    @property
    def bounds(self) -> dict[str, Any]:
        """The bounds that are given, by name."""
        values = {name: getattr(self, name) for name in _BOUNDS}
        return {name: value for name, value in values.items() if value is not None}

    def require_fit(self, kind: str, read: Read) -> None:
        """Raise ValueError where a rule makes no sense for the type, or can never hold."""
        if self.bounds and kind not in ORDERED:
            raise ValueError(f"{next(iter(self.bounds))} needs values with an order, not {kind}")
        texts = (self.min_length, self.max_length, self.pattern)
        if kind != "text" and any(rule is not None for rule in texts):
            raise ValueError(f"lengths and patterns are for text, not for {kind}")
        if self.enum is not None and kind not in LISTED:
            raise ValueError(f"values of {kind} cannot be listed")
        for value in [*self.bounds.values(), *(self.enum or ())]:
            try:
                read(value)
            except ValueError:
                raise ValueError(f"{str(value)[:60]!r} is not of the type {kind}") from None
        most = self.max_length
        if self.min_length is not None and most is not None and self.min_length > most:
            raise ValueError("min_length is more than max_length")
        limits = {name: as_utc(read(value)) for name, value in self.bounds.items()}
        low, high = limits.get("minimum"), limits.get("maximum")
        if low is not None and high is not None and low > high:
            raise ValueError("minimum is more than maximum")


def as_utc(value: Any) -> Any:
    """Return a timestamp without an offset as one in UTC; anything else as it is."""
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return value


def _pattern(pattern: str) -> TypeAdapter[str]:
    """Return pydantic's validator, whose time is linear in the text whatever the pattern."""
    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])


def checked_type(checks: Checks, read: Read) -> Callable[[Any], Any]:
    """Return a function that returns a value which keeps to the rules, and raises for any other."""
    rules = list(_rules(checks, read))

    def check(value: Any) -> Any:
        for code, message, holds in rules:
            if not holds(value):
                # A message is no template here: it may have braces of its own.
                raise PydanticCustomError("check", "{message}", {"message": message, "rule": code})
        return value

    return check


def _rules(checks: Checks, read: Read) -> Sequence[tuple[str, str, Callable[[Any], bool]]]:
    rules: list[tuple[str, str, Callable[[Any], bool]]] = []
    for name, given in checks.bounds.items():
        limit = as_utc(read(given))
        message = _BOUNDS[name][1].format(given)
        rules.append((name, message, _bound(_BOUNDS[name][0], limit)))
    if (least := checks.min_length) is not None:
        rules.append(("min_length", f"needs {least} characters", lambda text: len(text) >= least))
    if (most := checks.max_length) is not None:
        message = f"may have {most} characters"
        rules.append(("max_length", message, lambda text: len(text) <= most))
    if checks.pattern is not None:
        message = f"must match {checks.pattern[:100]}"
        rules.append(("pattern", message, _matches(_pattern(checks.pattern))))
    if checks.enum is not None:
        values = {read(value) for value in checks.enum}
        listed = ", ".join(str(value) for value in checks.enum[:10])
        more = ", ..." if len(checks.enum) > 10 else ""  # noqa: PLR2004 -- as many as are listed
        rules.append(
            ("enum", f"must be one of {listed[:300]}{more}", lambda value: value in values)
        )
    return rules


def _bound(sign: str, limit: Any) -> Callable[[Any], bool]:
    if sign == ">=":
        return lambda value: bool(as_utc(value) >= limit)
    if sign == "<=":
        return lambda value: bool(as_utc(value) <= limit)
    if sign == ">":
        return lambda value: bool(as_utc(value) > limit)
    return lambda value: bool(as_utc(value) < limit)


def _matches(pattern: TypeAdapter[str]) -> Callable[[str], bool]:
    def matches(text: str) -> bool:
        try:
            pattern.validate_python(text)
        except ValidationError:
            return False
        return True

    return matches


def check_expression(
    column: str, checks: Checks, read: Read, kind: LiteralString
) -> sql.Composable | None:
    """Return the rules as PostgreSQL's expression, with literals of the type `kind`; None for no rules."""
    name = sql.Identifier(column)
    parts: list[sql.Composable] = [
        sql.SQL("{} {} {}::{}").format(
            name, sql.SQL(_BOUNDS[bound][0]), sql.Literal(as_utc(read(value))), sql.SQL(kind)
        )
        for bound, value in checks.bounds.items()
    ]
    if checks.min_length is not None:
        parts.append(sql.SQL("char_length({}) >= {}").format(name, sql.Literal(checks.min_length)))
    if checks.max_length is not None:
        parts.append(sql.SQL("char_length({}) <= {}").format(name, sql.Literal(checks.max_length)))
    if checks.pattern is not None:
        parts.append(sql.SQL("{} ~ {}").format(name, sql.Literal(checks.pattern)))
    if checks.enum is not None:
        listed = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(read(value)), sql.SQL(kind))
            for value in checks.enum
        )
        parts.append(sql.SQL("{} IN ({})").format(name, listed))
    return sql.SQL(" AND ").join(parts) if parts else None
