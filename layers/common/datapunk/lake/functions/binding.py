"""A function's query with arguments in the places of its parameters: a request that was never text.

The query is read by the grammar as it was registered, placeholders and all; only then arguments take their
places in what came out. A dataset changes after a function was registered, so that each call resolves the
query again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from datapunk.database import Transaction
from datapunk.lake.columns import RANGES, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.functions.definition import PLACEHOLDER, FunctionDefinition, Parameter, Returns
from datapunk.lake.plan import Select
from datapunk.lake.rest.arguments import Argument
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.grammar import Test, Tree
from datapunk.lake.rest.requests import RestRequest, read_request
from datapunk.lake.rest.resolving import resolve

Arguments = Mapping[str, Any]
"""A value of its type for each parameter; None for an optional one that is not given."""

_COUNTS = ("limit", "offset")
_SAMPLES: dict[ColumnType, Any] = {
    ColumnType.TEXT: "a",
    ColumnType.INTEGER: 1,
    ColumnType.NUMBER: 1.0,
    ColumnType.DECIMAL: Decimal(1),
    ColumnType.BOOLEAN: True,
    ColumnType.DATE: dt.date(2000, 1, 1),
    ColumnType.TIMESTAMP: dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
    ColumnType.UUID: UUID(int=0),
    ColumnType.JSON: {},
    **dict.fromkeys(RANGES, "empty"),
}
"""A value of each type that all types it can be compared as have, too."""


def check_fit(tx: Transaction, dataset: Dataset, function: FunctionDefinition) -> None:
    """Check a function against its dataset. Raises RestError for what does not fit, or is not used."""
    samples = {
        item.name: [_SAMPLES[item.type]] if item.many else _SAMPLES[item.type]
        for item in function.parameters
    }
    binding = _Binding(function, samples)
    _fitting(resolve(tx, dataset, binding.request(), 1), function)
    unused = [item.name for item in function.parameters if item.name not in binding.used]
    if unused:
        raise RestError(400, "42P02", f"no condition uses the parameter {', '.join(unused)}")


def resolve_call(
    tx: Transaction, dataset: Dataset, function: FunctionDefinition, arguments: Arguments, most: int
) -> Select:
    """Return the checked selection of a function's query with arguments.

    It has no more rows than the query says, and embedded arrays no more than `most`. Raises RestError where
    the query no longer fits its dataset, or an argument not what it is compared with.
    """
    request = _Binding(function, arguments).request()
    select = _fitting(resolve(tx, dataset, request, most), function)
    limit = request.window.limit
    if function.returns is not Returns.SET:
        limit = 1 if limit is None else min(limit, 1)
    return replace(select, limit=limit)


def _fitting(select: Select, function: FunctionDefinition) -> Select:
    if not select.names:
        raise RestError(400, "PGRST100", "select names no column")
    if function.returns is Returns.SCALAR and len(select.names) != 1:
        raise RestError(
            400,
            "42P13",
            "a function that returns a scalar selects one value",
            None,
            "select=column",
        )
    return select


class _Binding:
    def __init__(self, function: FunctionDefinition, arguments: Arguments) -> None:
        self.function = function
        self.arguments = arguments
        self.used: set[str] = set()

    def request(self) -> RestRequest:
        """Return the query as a request with arguments in their places."""
        parameters: dict[str, list[str]] = {}
        for key, given in self.function.query.items():
            texts = [given] if isinstance(given, str) else given
            if key.rpartition(".")[2] in _COUNTS:
                texts = self._counts(key, texts)
            if texts:
                parameters[key] = texts
        request = read_request(parameters, {})
        conditions = {place: self._filled(items) for place, items in request.conditions.items()}
        return replace(
            request, conditions={place: item for place, item in conditions.items() if item}
        )

    def _parameter(self, text: str) -> Parameter | None:
        """Return the parameter that a value stands for; None for one that stands for itself."""
        match = PLACEHOLDER.fullmatch(text)
        if match is None:
            return None
        found = self.function.parameter(match[1])
        if found is None:
            raise RestError(
                400,
                "42P02",
                f"there is no parameter {match[1]}",
                None,
                'Declare it among the parameters, or write a list of one text as {"text"}.',
            )
        self.used.add(found.name)
        return found

    def _counts(self, key: str, texts: Sequence[str]) -> list[str]:
        """Return values of `limit` or `offset` with digits in the places of parameters."""
        found: list[str] = []
        for text in texts:
            parameter = self._parameter(text)
            if parameter is None:
                found.append(text)
                continue
            if parameter.type is not ColumnType.INTEGER or parameter.many:
                raise RestError(
                    400, "42804", f"parameter {parameter.name} must be an integer, for {key}"
                )
            value = self.arguments[parameter.name]
            if value is not None:
                found.append(str(int(value)))
        return found

    def _filled(self, items: Sequence[Test | Tree]) -> list[Test | Tree]:
        """Return conditions with arguments, without those whose argument is not given."""
        found = (self._condition(item) for item in items)
        return [item for item in found if item is not None]

    def _condition(self, item: Test | Tree) -> Test | Tree | None:
        if isinstance(item, Tree):
            items = tuple(self._filled(item.items))
            return replace(item, items=items) if items else None
        if not isinstance(item.value, str):
            return item
        parameter = self._parameter(item.value)
        if parameter is None:
            return item
        value = self.arguments[parameter.name]
        if value is None:
            return None
        return replace(item, value=Argument(parameter.name, parameter.type, value, parameter.many))
