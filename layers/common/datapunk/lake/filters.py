"""Query parameters of a dataset's records, read into a checked query.

The words are PostgREST's: `?week=gte.1990-01-01&select=year,mean:ppm.avg()&order=year.desc&limit=10`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datapunk.errors import FieldError, InvalidInputError
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.geo import read_finding
from datapunk.lake.operators import COMPARISONS, FINDING, aggregate_problem
from datapunk.lake.plan import Comparison, Field, Order, Output
from datapunk.lake.values import read_value, split_list
from datapunk.paging import DEFAULT_LIMIT

NOTHING = ("null", "not_null", "true", "false")
_ITEM = re.compile(
    r"(?:(?P<alias>[a-z][a-z0-9_]{0,62}):)?"
    r"(?:(?P<column>[a-z][a-z0-9_]{0,62})(?:\.(?P<aggregate>[a-z]+)\(\))?|(?P<bare>[a-z]+)\(\))\Z"
)
CONTROLS = ("select", "order", "limit", "cursor")
"""Parameters that are no filters, whatever columns are called."""

QUERY_PARAMETERS = (
    {
        "name": "select",
        "in": "query",
        "description": "Columns of the answer: `week,mean:ppm.avg()`. All by default.",
        "schema": {"type": "string"},
    },
    {
        "name": "order",
        "in": "query",
        "description": "Sort keys: `year.desc,week`. Ties are broken by the dataset's key.",
        "schema": {"type": "string"},
    },
    {
        "name": "limit",
        "in": "query",
        "description": "Most records of the page.",
        "schema": {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "Where the page begins: `next_cursor` of the page before.",
        "schema": {"type": "string"},
    },
    {
        "name": "filters",
        "in": "query",
        "description": "Filters, `column=operator.value`, e.g. `week=gte.1990-01-01`. Operators: "
        + ", ".join(f"`{name}`" for name in (*COMPARISONS, "in", "is", *FINDING)),
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    },
)
"""What `read_query` understands, as OpenAPI parameter objects."""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query: every name is the dataset's, every value has its column's type."""

    outputs: tuple[Output, ...]
    filters: tuple[Comparison, ...]
    order: tuple[Order, ...]
    limit: int
    cursor: str | None

    @property
    def grouped(self) -> bool:
        """Whether rows are aggregated."""
        return any(output.aggregate for output in self.outputs)


def read_query(
    parameters: Mapping[str, Sequence[str]],
    dataset: Dataset,
    page_limit: int,
    every: Sequence[Output] | None = None,
) -> Query:
    """Check query parameters against the dataset.

    `every` is what is selected where the parameters do not say it: all columns by default.
    Raises InvalidInputError with one entry per parameter that is wrong.
    """
    errors: list[FieldError] = []
    reader = _Reader(dataset, errors)
    outputs = reader.select(_single(parameters, "select", errors), every)
    order = reader.order(_single(parameters, "order", errors), outputs)
    limit = _limit(_single(parameters, "limit", errors), page_limit, errors)
    filters = [
        found
        for name, values in parameters.items()
        if name not in CONTROLS
        for value in values
        if (found := reader.filter(name, value)) is not None
    ]
    cursor = _single(parameters, "cursor", errors)
    if errors:
        names = ", ".join(dict.fromkeys(error.field for error in errors))
        raise InvalidInputError(f"Not valid: {names}.", errors=errors)
    return Query(tuple(outputs), tuple(filters), tuple(order), limit, cursor or None)


def _single(
    parameters: Mapping[str, Sequence[str]], name: str, errors: list[FieldError]
) -> str | None:
    values = parameters.get(name, ())
    if len(values) > 1:
        errors.append(FieldError(name, "may be given once", "duplicate"))
    return values[0] if values else None


def _limit(text: str | None, most: int, errors: list[FieldError]) -> int:
    if text is None:
        return min(DEFAULT_LIMIT, most)
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    errors.append(FieldError("limit", f"must be a whole number from 1 to {most}", "range"))
    return 1


class _Reader:
    """Reads the parts of a query, collecting what is wrong."""

    def __init__(self, dataset: Dataset, errors: list[FieldError]) -> None:
        self.dataset = dataset
        self.errors = errors

    def wrong(self, field: str, message: str, code: str) -> None:
        """Note an error."""
        self.errors.append(FieldError(field[:100], message, code))

    def select(self, text: str | None, every: Sequence[Output] | None = None) -> list[Output]:
        """Read `select`: columns, renamed columns and aggregates; all columns by default."""
        if text is None or text.strip() in ("", "*"):
            if every is not None:
                return list(every)
            return [Output(column.name, Field(column)) for column in self.dataset.columns]
        found = [self._output(item.strip()) for item in text.split(",")]
        outputs = [output for output in found if output is not None]
        names = [output.name for output in outputs]
        for name in {name for name in names if names.count(name) > 1}:
            self.wrong("select", f"gives {name} twice: rename one of them", "duplicate")
        return outputs

    def _output(self, item: str) -> Output | None:
        match = _ITEM.match(item)
        if match is None:
            self.wrong("select", f"{item[:60]!r} is not a column or aggregate", "syntax")
            return None
        name, aggregate = match["column"], match["aggregate"] or match["bare"]
        column = self.dataset.column(name) if name else None
        if name and column is None:
            self.wrong("select", f"{name} is not a column of the dataset", "unknown_column")
            return None
        field = Field(column) if column else None
        if aggregate is None:
            return Output(match["alias"] or name, field)
        kind = column.type if column else None
        if problem := aggregate_problem(aggregate, kind, name or ""):
            self.wrong("select", problem, "aggregate")
            return None
        return Output(match["alias"] or aggregate, field, aggregate)

    def order(self, text: str | None, outputs: Sequence[Output]) -> list[Order]:
        """Read `order` and complete it, so that it tells any two rows apart."""
        grouped = any(output.aggregate for output in outputs)
        if grouped:
            known = {output.name for output in outputs}
            rest = [output.name for output in outputs if not output.aggregate]
        else:
            known = {name for column in self.dataset.columns for name in column.names}
            rest = [column.name for column in self.dataset.row_key()]
        order: list[Order] = []
        for item in (text or "").split(","):
            name, _, direction = item.strip().partition(".")
            if not name:
                continue
            if not grouped and (column := self.dataset.column(name)) is not None:
                name = column.name  # what it is called now
            if name not in known:
                self.wrong("order", f"{name[:60]} is not a column of the result", "unknown_column")
            elif direction not in ("", "asc", "desc"):
                self.wrong("order", f"{direction[:20]!r} is neither asc nor desc", "syntax")
            elif not grouped and self._is_place(name):
                self.wrong("order", f"{name} is a place, and places have no order", "type")
            elif any(item.name == name for item in order):
                self.wrong("order", f"{name} is given twice", "duplicate")
            else:
                order.append(Order(name, direction == "desc"))
        chosen = {item.name for item in order}
        return order + [Order(name) for name in rest if name not in chosen]

    def _is_place(self, name: str) -> bool:
        column = self.dataset.column(name)
        return column is not None and column.type is ColumnType.GEO

    def filter(self, name: str, text: str) -> Comparison | None:
        """Read `name=operator.value`."""
        column = self.dataset.column(name)
        operator, _, value = text.partition(".")
        if column is None:
            self.wrong(name, "is not a column of the dataset", "unknown_column")
        elif operator == "is":
            if value in NOTHING and (
                column.type is ColumnType.BOOLEAN or value in ("null", "not_null")
            ):
                return Comparison(Field(column), "is", value)
            self.wrong(name, "is.null, is.not_null and, for booleans, is.true, is.false", "value")
        elif column.type is ColumnType.GEO:
            return self._place(column, operator, value)
        elif operator == "in" and column.type is not ColumnType.VECTOR:
            return self._in(column, value)
        elif column.type is ColumnType.VECTOR:
            self.wrong(name, "is a vector, which lake.search_records compares", "operator")
        elif operator not in COMPARISONS:
            known = ", ".join([*COMPARISONS, "in", "is"])
            self.wrong(name, f"must begin with one of {known} and a dot", "operator")
        elif (checked := self._value(column, value)) is not None:
            return Comparison(Field(column), operator, checked)
        return None

    def _place(self, column: Column, operator: str, text: str) -> Comparison | None:
        if operator not in FINDING:
            known = ", ".join([*FINDING, "is"])
            self.wrong(column.name, f"is a place, found by one of {known} and a dot", "operator")
            return None
        try:
            return Comparison(Field(column), operator, read_finding(operator, text))
        except ValueError as error:
            self.wrong(column.name, str(error), "value")
            return None

    def _in(self, column: Column, text: str) -> Comparison | None:
        try:
            texts = split_list(text, "()")
        except ValueError as error:
            self.wrong(column.name, f"the list of in {error}: in.(a,b)", "value")
            return None
        values = [self._value(column, item) for item in texts]
        if any(value is None for value in values):
            return None
        return Comparison(Field(column), "in", values)

    def _value(self, column: Column, text: str) -> Any:
        """Return the text as a value of the column's type, or None after noting what is wrong."""
        try:
            return read_value(column.type, text)
        except ValueError as error:
            self.wrong(column.name, str(error), "value")
            return None
