"""A request, checked against the datasets it names: what comes out can be compiled as it is."""

from __future__ import annotations

import re
from typing import Any

from datapunk.database import Transaction
from datapunk.errors import NotFoundError
from datapunk.lake import operators
from datapunk.lake.casts import CASTS
from datapunk.lake.columns import IDENTIFIER, ColumnType
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.geo import read_finding
from datapunk.lake.plan import (
    Comparison,
    Condition,
    Embed,
    Field,
    Logic,
    Output,
    Related,
    Select,
    SortKey,
    Step,
)
from datapunk.lake.rest import grammar
from datapunk.lake.rest.arguments import Argument
from datapunk.lake.rest.errors import (
    RestError,
    not_supported,
    syntax_error,
    unfit_operator,
    unfit_value,
    unknown_column,
)
from datapunk.lake.rest.relations import Relations
from datapunk.lake.rest.requests import Place, RestRequest, Window, count_of
from datapunk.lake.searchable import LANGUAGES
from datapunk.lake.values import read_value, split_list

MOST_VALUES = 1_000
"""Values of one list."""
_LONGEST_NAME = 63
_INTEGER = 2**31


def find_target(tx: Transaction, name: str, *, hold: bool = False) -> Dataset:
    """Return the dataset of a request as `find_dataset` does. Raises NotFoundError for any other name."""
    if re.match(IDENTIFIER, name) is None:
        raise NotFoundError(f"There is no dataset called {name[:100]!r}.")
    return find_dataset(tx, name, hold=hold)


def resolve(tx: Transaction, dataset: Dataset, request: RestRequest, most: int) -> Select:
    """Return the checked selection that a request asks of a dataset, of `most` rows at the most.

    Raises RestError for names that mean nothing, values that do not fit, and queries that are too large.
    """
    count_of(request)
    return _Resolver(tx, request, most).whole(dataset)


class _Resolver:
    def __init__(self, tx: Transaction, request: RestRequest, most: int) -> None:
        self.request = request
        self.most = most
        self.relations = Relations(tx)
        self.places: set[Place] = set()

    def whole(self, dataset: Dataset) -> Select:
        """Resolve the request for the dataset itself and all that is embedded."""
        found = self.select(dataset, self.request.select, ())
        asked = {*self.request.conditions, *self.request.order, *self.request.windows}
        for place in sorted(asked - self.places):
            name = ".".join(place)[:100]
            raise RestError(
                400,
                "PGRST108",
                f"'{name}' is not an embedded resource in this request",
                None,
                f"Verify that '{name}' is included in the 'select' query parameter.",
            )
        return found

    def select(
        self, dataset: Dataset, items: tuple[grammar.SelectItem, ...], place: Place
    ) -> Select:
        """Resolve what is selected at a place, and what else the request says about that place."""
        self.places.add(place)
        outputs: dict[str, Output] = {}
        embeds: dict[str, Embed] = {}
        names: list[str] = []
        for item in items:
            if isinstance(item, grammar.Resource):
                embed = self.embed(dataset, item, place)
                _add(embeds, item.name, embed)
                names += embed.select.names if embed.spread else [embed.name]
                continue
            for output in _outputs(dataset, item):
                if outputs.get(output.name) == output:
                    continue
                _add(outputs, output.name, output)
                names.append(output.name)
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _twice(twice)
        grouped = any(output.aggregate for output in outputs.values())
        order = tuple(
            self.sort_key(dataset, item, outputs, embeds, grouped=grouped)
            for item in self.request.order.get(place, ())
        )
        window = self.request.windows.get(place, Window())
        limit = self.most if window.limit is None else min(window.limit, self.most)
        return Select(
            dataset,
            tuple(outputs.values()),
            tuple(embeds.values()),
            tuple(
                self.condition(dataset, item, embeds)
                for item in self.request.conditions.get(place, ())
            ),
            order,
            limit,
            window.offset,
            tuple(name for name in names if name not in embeds or embeds[name].select.names),
        )

    def embed(self, dataset: Dataset, item: grammar.Resource, place: Place) -> Embed:
        """Resolve an embedded resource and all below it."""
        relation = self.relations.find(dataset, item.target, item.hint)
        name = _checked_name(item.name)
        select = self.select(relation.target, item.items, (*place, item.name))
        if item.spread and select.grouped:
            raise not_supported("Aggregates in a spread resource are not supported.")
        return Embed(name, relation, select, item.inner, item.spread)

    # -- conditions --------------------------------------------------------------------------------

    def condition(
        self, dataset: Dataset, item: grammar.Test | grammar.Tree, embeds: dict[str, Embed]
    ) -> Condition:
        """Resolve a condition."""
        if isinstance(item, grammar.Tree):
            items = tuple(self.condition(dataset, inner, embeds) for inner in item.items)
            return Logic("and" if item.word == "and" else "or", items, item.negated)
        name = item.path.name
        if name in embeds and dataset.column(name) is None and not item.path.steps:
            return _related(embeds[name], item)
        return comparison(dataset, item)

    # -- order -------------------------------------------------------------------------------------

    def sort_key(
        self,
        dataset: Dataset,
        item: grammar.OrderItem,
        outputs: dict[str, Output],
        embeds: dict[str, Embed],
        *,
        grouped: bool,
    ) -> SortKey:
        """Resolve a sort key."""
        if item.resource is not None:
            return _related_key(item, embeds)
        by = _grouped_key(dataset, item, outputs) if grouped else _field(dataset, item.path)
        if isinstance(by, Field) and by.kind is ColumnType.GEO:
            raise unfit_operator(f"{item.path.name} is a place, and places have no order")
        return SortKey(by, item.descending, item.nulls_first)


def _add(found: dict[str, Any], name: str, item: Any) -> None:
    if name in found:
        raise _twice(name)
    found[name] = item


def _twice(name: str) -> RestError:
    return RestError(
        400, "42701", f"'{name}' is selected twice", None, "Rename one of them: alias:column."
    )


def _field(dataset: Dataset, path: grammar.Path, cast: str | None = None) -> Field:
    column = dataset.column(path.name)
    if column is None:
        raise unknown_column(dataset.name, path.name)
    if cast is not None and cast not in CASTS:
        raise RestError(
            400,
            "42704",
            f'type "{cast[:60]}" does not exist',
            None,
            f"There are: {', '.join(CASTS)}",
        )
    for key, _ in path.steps:
        if isinstance(key, int) and not -_INTEGER <= key < _INTEGER:
            raise unfit_value(path.name, "no element has that place")
    return Field(column, tuple(Step(key, as_text) for key, as_text in path.steps), cast)


def _checked_name(name: str) -> str:
    if not 0 < len(name.encode()) <= _LONGEST_NAME:
        raise RestError(400, "42622", f"A name may have {_LONGEST_NAME} bytes at most.")
    return name


def _outputs(dataset: Dataset, item: grammar.Column) -> list[Output]:
    """Return the result columns of one item of `select`; `*` is all columns."""
    if item == grammar.STAR:
        return [Output(column.name, Field(column)) for column in dataset.columns]
    field = None if item.path is None else _field(dataset, item.path, item.cast)
    for cast in (item.cast, item.result_cast):
        if cast is not None and cast not in CASTS:
            raise RestError(400, "42704", f'type "{cast[:60]}" does not exist')
    if item.aggregate is not None:
        name = item.path.name if item.path else ""
        problem = operators.aggregate_problem(item.aggregate, field.kind if field else None, name)
        if problem:
            raise RestError(400, "42883", f"function does not exist: {problem}")
        alias = _checked_name(item.alias or item.aggregate)
        return [Output(alias, field, item.aggregate, item.result_cast)]
    return [Output(_checked_name(item.alias or _own_name(item.path)), field)]


def _own_name(path: grammar.Path | None) -> str:
    """Return the name of a result column without an alias: that of the innermost member."""
    if path is None:
        return ""
    keys = [key for key, _ in path.steps if isinstance(key, str)]
    return keys[-1] if keys else path.name


def _grouped_key(
    dataset: Dataset, item: grammar.OrderItem, outputs: dict[str, Output]
) -> Field | Output:
    """Return what groups are sorted by: a result column, or a column they are grouped by."""
    if not item.path.steps and item.path.name in outputs:
        return outputs[item.path.name]
    field = _field(dataset, item.path)
    if all(output.field != field or output.aggregate for output in outputs.values()):
        raise RestError(
            400,
            "42803",
            f"{item.path.name} is neither selected nor grouped by, so that groups cannot be sorted by it",
        )
    return field


def _related_key(item: grammar.OrderItem, embeds: dict[str, Embed]) -> SortKey:
    embed = embeds.get(item.resource or "")
    if embed is None:
        raise RestError(
            400,
            "PGRST108",
            f"'{(item.resource or '')[:100]}' is not an embedded resource in this request",
        )
    if embed.relation.many:
        raise RestError(
            400,
            "PGRST118",
            f"A related order on '{embed.name}' is not possible",
            "Each row has several of its rows, not one.",
        )
    by = _field(embed.relation.target, item.path)
    return SortKey(by, item.descending, item.nulls_first, embed.relation)


def _related(embed: Embed, item: grammar.Test) -> Related:
    """Return the condition that a row has, or has not, rows of an embedded resource."""
    word = item.value.lower() if isinstance(item.value, str) else ""
    if item.operator != "is" or word not in ("null", "not_null"):
        raise RestError(
            400,
            "PGRST120",
            f"Bad operator on the '{embed.name}' embedded resource",
            "Only is null or not is null filters are allowed on embedded resources",
        )
    return Related(embed, negated=(word == "null") is not item.negated)


def comparison(dataset: Dataset, item: grammar.Test) -> Comparison:
    """Resolve `column=operator.value`. Raises RestError for what does not fit together."""
    field, operator = _field(dataset, item.path), item.operator
    if operator not in operators.OPERATORS:
        known = ", ".join(operators.OPERATORS)
        raise syntax_error("filter", f"{operator}.{item.value}", 0, f"one of {known}")
    if problem := operators.operator_problem(operator, field.kind):
        raise unfit_operator(problem)
    quantifier: Any = None
    language = None
    if item.modifier is not None:
        if item.modifier in ("any", "all") and operator in operators.QUANTIFIED:
            quantifier = item.modifier
        elif operator in operators.SEARCHES and item.modifier in LANGUAGES:
            language = item.modifier
        else:
            text = f"{operator}({item.modifier})"
            raise syntax_error("filter", text, len(operator), "a modifier of the operator")
    try:
        value = _value(field, operator, item.value, listed=quantifier is not None)
    except ValueError as error:
        raise unfit_value(item.path.name, str(error)) from None
    return Comparison(field, operator, value, item.negated, quantifier, language)


def _value(field: Field, operator: str, text: str | Argument, *, listed: bool) -> Any:
    """Return what a condition compares with. Raises ValueError for what is no such value."""
    if isinstance(text, Argument):
        return text.compared(operator, field.kind, listed=listed or operator == "in")
    if operator == "is":
        word = text.lower()
        if word not in operators.NOTHING:
            raise ValueError(f"is takes one of {', '.join(operators.NOTHING)}")
        if word not in ("null", "not_null") and field.kind is not ColumnType.BOOLEAN:
            raise ValueError(f"is.{word} is for booleans")
        return word
    if operator == "in" or listed:
        items = split_list(text, "()" if operator == "in" else "{}")
        if len(items) > MOST_VALUES:
            raise ValueError(f"a list may have {MOST_VALUES} values at most")
        return [_one_value(field, operator, item) for item in items]
    return _one_value(field, operator, text)


def _one_value(field: Field, operator: str, text: str) -> Any:
    if operator in operators.FINDING:
        return read_finding(operator, text)
    if operator in operators.SEARCHES:
        return read_value(ColumnType.TEXT, text)
    if operator in ("like", "ilike"):
        text = text.replace("*", "%")
    return read_value(field.kind, text)
