"""What a call gives for a function's parameter: a value of a declared type, which is never read as text.

It stands in a condition where a request has text. From there it goes to the database beside the statement,
converted to the type it is compared with, so that nothing in it can be a condition, a list or a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from datapunk.lake import operators
from datapunk.lake.columns import ColumnType, text_value
from datapunk.lake.rest.errors import RestError

_WIDER: dict[ColumnType, frozenset[ColumnType]] = {
    ColumnType.INTEGER: frozenset({ColumnType.NUMBER, ColumnType.DECIMAL}),
    ColumnType.NUMBER: frozenset({ColumnType.DECIMAL}),
    ColumnType.DECIMAL: frozenset({ColumnType.NUMBER}),
    ColumnType.DATE: frozenset({ColumnType.TIMESTAMP}),
}
"""Types that every value of a type can be compared as."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The value of a parameter, a list of values where the parameter is `many`."""

    name: str
    kind: ColumnType
    value: Any
    many: bool = False

    def compared(self, operator: str, kind: ColumnType, *, listed: bool) -> Any:
        """Return what an operator compares a value of `kind` with: a list if `listed`.

        Raises RestError (42804) where the parameter's type does not go with it, ValueError for a value that
        is too large for the type.
        """
        if self.many is not listed:
            takes = "a list of values" if listed else "one value"
            raise self._misfit(f"{operator} takes {takes} here")
        if operator == "is":
            if self.kind is not ColumnType.BOOLEAN:
                raise self._misfit("is takes a boolean")
            return "true" if self.value else "false"
        if operator in operators.SEARCHES:
            kind = ColumnType.TEXT
        if kind is not self.kind and kind not in _WIDER.get(self.kind, ()):
            raise self._misfit(f"it is compared with {kind}")
        if self.many:
            return [self._converted(operator, kind, item) for item in self.value]
        return self._converted(operator, kind, self.value)

    def _misfit(self, message: str) -> RestError:
        what = f"a list of {self.kind}" if self.many else str(self.kind)
        return RestError(400, "42804", f"parameter {self.name} is {what}, and {message}")

    @staticmethod
    def _converted(operator: str, kind: ColumnType, value: Any) -> Any:
        if kind is ColumnType.JSON:
            return Jsonb(value)
        if operator in ("like", "ilike"):
            value = value.replace("*", "%")
        try:
            return text_value(kind).validate_python(value)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from None
