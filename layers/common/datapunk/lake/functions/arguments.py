"""Arguments of a call: from a JSON object or from query parameters to values of the declared types."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from datapunk.lake.columns import PYTHON_TYPES, stored_value, text_value
from datapunk.lake.functions.definition import Function, FunctionDefinition, Parameter
from datapunk.lake.rest.errors import RestError, unfit_value
from datapunk.lake.rest.resolving import MOST_VALUES
from datapunk.lake.values import split_list

_SETTINGS = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict", "and", "or"})
_CONDITION = re.compile(r"(?:not\.)?[a-z_]+(?:\([a-z_]*\))?\.")
_MOST_SHOWN = 20


def unknown_function(name: str, given: Iterable[str], known: Function | None = None) -> RestError:
    """Return the error that no function of that name takes arguments of these names.

    `known` is the function of the name where there is one.
    """
    names = [text[:63] for text in sorted(given)[:_MOST_SHOWN]]
    called = f"{name[:63]}({', '.join(names)})" if names else f"{name[:63]} without parameters"
    details = f"Searched for the function {name[:63]} "
    if names:
        details += f"with parameter{'s' * (len(names) > 1)} {', '.join(names)}"
    else:
        details += "without parameters"
    hint = "GET /v1/lake/functions lists the functions there are."
    if known is not None:
        parameters = ", ".join(item.name for item in known.parameters)
        hint = f"Perhaps you meant to call the function {known.name}({parameters})"
    return RestError(
        404,
        "PGRST202",
        f"Could not find the function {called} in the schema cache",
        f"{details}, but no matches were found in the schema cache.",
        hint,
    )


def split_query(
    function: Function, query: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Return the query parameters that are arguments, and those about the result.

    Raises RestError (PGRST202) for one that is neither: it names no parameter, and its value is no condition.
    """
    given: dict[str, Sequence[str]] = {}
    rest: dict[str, Sequence[str]] = {}
    strangers: list[str] = []
    for name, values in query.items():
        if function.parameter(name) is not None:
            given[name] = values
            continue
        rest[name] = values
        plain = name not in _SETTINGS and "." not in name
        if plain and not all(map(_CONDITION.match, values)):
            strangers.append(name)
    if strangers:
        raise unknown_function(function.name, [*given, *strangers], function)
    return given, rest


def from_query(function: Function, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the arguments that query parameters are; of several values of one, the last counts.

    Raises RestError (22P02) for a text that is no value of its type, and (PGRST202) where one is missing.
    """
    _require(function, given)
    found = {}
    for name, values in given.items():
        parameter = function.parameter(name)
        if parameter is not None:
            found[name] = _read(parameter, values[-1])
    return _complete(function, found)


def names_in(content: bytes) -> list[str]:
    """Return the names of a JSON object's members; an empty body is an empty object.

    Raises RestError (PGRST102) for what is no object.
    """
    try:
        named = from_json(content.strip() or b"{}", allow_inf_nan=False)
    except ValueError:
        raise RestError(400, "PGRST102", "The body is not valid JSON.") from None
    if not isinstance(named, dict):
        raise RestError(400, "PGRST102", "The body must be a JSON object of arguments by name.")
    return list(named)


def from_body(function: Function, content: bytes) -> dict[str, Any]:
    """Return the arguments that a JSON object is; an empty body is an empty object.

    Raises RestError for what is no object (PGRST102), other names than the parameters' (PGRST202), and
    values that are not of their types (22P02).
    """
    named = names_in(content)
    if any(function.parameter(name) is None for name in named):
        raise unknown_function(function.name, named, function)
    _require(function, named)
    try:
        found: dict[str, Any] = _adapter(function).validate_json(content.strip() or b"{}")
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = problem["loc"]
        name = str(place[0]) if place else "body"
        raise unfit_value(name, problem["msg"]) from None
    return _complete(function, found)


def _require(function: Function, given: Collection[str]) -> None:
    """Refuse a call without an argument that it needs."""
    if any(item.required and item.name not in given for item in function.parameters):
        raise unknown_function(function.name, given, function)


def _read(parameter: Parameter, text: str) -> Any:
    """Return a query parameter's text as an argument; a list is written as `{a,"b c"}`."""
    kind = text_value(parameter.type)
    try:
        if not parameter.many:
            return kind.validate_python(text)
        items = split_list(text, "{}")
        if len(items) > MOST_VALUES:
            raise unfit_value(parameter.name, f"a list may have {MOST_VALUES} values at most")
        return [kind.validate_python(item) for item in items]
    except ValidationError as error:
        raise unfit_value(parameter.name, error.errors()[0]["msg"]) from None
    except ValueError as error:
        raise unfit_value(parameter.name, str(error)) from None


def _adapter(function: FunctionDefinition) -> TypeAdapter[Any]:
    fields: dict[str, Any] = {}
    for item in function.parameters:
        kind: Any = PYTHON_TYPES[item.type]
        if item.many:
            kind = Annotated[list[kind], Field(max_length=MOST_VALUES)]
        if item.optional:
            kind = kind | None
        fields[item.name] = NotRequired[kind]
    # Names are only known at run time, which the type checker cannot follow.
    make: Any = TypedDict
    record: Any = make("Arguments", fields)
    record.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return TypeAdapter(record)


def _complete(function: FunctionDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with defaults for those that were not given, None where there is none."""
    return {
        item.name: found[item.name] if item.name in found else _default(item)
        for item in function.parameters
    }


def _default(item: Parameter) -> Any:
    if item.default is None:
        return None
    if item.many:
        return [stored_value(item.type, value) for value in item.default]
    return stored_value(item.type, item.default)
