"""What pydantic has to say against an input, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from datapunk.errors import FieldError, InvalidInputError

_LOCATIONS = {"body", "query", "path", "header"}
Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], members: Mapping[str, Any]) -> Model:
    """Return the model of these members. Raises InvalidInputError naming the fields that are wrong."""
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise refused(error.errors(include_input=False, include_url=False)) from None


def refused(errors: Iterable[Mapping[str, Any]]) -> InvalidInputError:
    """Return pydantic's error list as the error a caller gets."""
    found = field_errors(errors)
    names = ", ".join(dict.fromkeys(item.field for item in found))
    return InvalidInputError(f"Not valid: {names}.", errors=found)


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Return pydantic's error list as field errors; the offending input is never repeated.

    The first element of a location says where the value came from (body, query, ...). It is dropped
    when more follows: `("body", "columns", 0, "type")` becomes `columns.0.type`.
    """
    found = []
    for item in errors:
        location = [str(part) for part in item["loc"]]
        if len(location) > 1 and location[0] in _LOCATIONS:
            location = location[1:]
        message = str(item["msg"]).removeprefix("Value error, ")
        found.append(FieldError(".".join(location), message, str(item["type"])))
    return found
