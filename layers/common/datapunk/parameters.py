"""Which query parameters an operation declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pydantic import BaseModel


class Declaring(Protocol):
    """A resolver, and the parameters declared beside its routes as OpenAPI parameter objects."""

    parameters: tuple[Mapping[str, Any], ...]
    _static_routes: list[Any]
    _dynamic_routes: list[Any]


def declared_parameters(app: Declaring, path: str) -> frozenset[str]:
    """Return the names of the query parameters of the route with an OpenAPI path.

    Nothing is returned where any name may be given (a free-form parameter), or no route has the path.
    """
    routes = [*app._static_routes, *app._dynamic_routes]  # noqa: SLF001 -- there is no public list
    routes = [route for route in routes if route.openapi_path == path]
    if not routes or any(map(_is_free_form, app.parameters)):
        return frozenset()
    beside = {str(item["name"]) for item in app.parameters if item.get("in") == "query"}
    return frozenset(beside.union(*map(_of_route, routes)))


def _is_free_form(parameter: Mapping[str, Any]) -> bool:
    return parameter.get("schema", {}).get("type") == "object" and bool(parameter.get("explode"))


def _of_route(route: Any) -> Iterator[str]:
    for field in route.dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (item.alias or name for name, item in model.model_fields.items())
        else:
            yield field.alias
