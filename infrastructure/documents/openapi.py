"""One OpenAPI 3.0 document over all HTTP functions, merged from what each resolver knows of itself."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

from datapunk import __version__
from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    PayloadTooLargeError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from datapunk.http import HttpFunction
from datapunk.identity import Caller
from datapunk.policy import decide
from datapunk.problems import PROBLEM_JSON

from infrastructure.documents.operations import LAYER, Operation, operations

FILE = LAYER / "datapunk" / "nexus" / "openapi.json"
_ANY_ROUTE = (TooManyRequestsError, DatapunkError, UnavailableError, DeadlineExceededError)
_ANY_BODY = (MalformedRequestError, PayloadTooLargeError, UnsupportedMediaTypeError)
_CLOSED = (UnauthenticatedError, ForbiddenError)
_SECURITY: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the token endpoint.",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "An API key of a user or a client.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "datapunk",
        "description": "The session of a user who has signed in; `__Host-datapunk` over HTTPS.",
    },
}
_WITHOUT_BODY = ("get", "head", "options", "delete")
_REST: dict[str, Any] = {
    "name": "path",
    "in": "path",
    "required": True,
    "description": "All that follows, with its slashes.",
    "schema": {"type": "string"},
}
"""The parameter of a route `{path+}`; OpenAPI knows none that takes slashes."""
_RESOLVERS_OWN = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
_TEXT: dict[str, Any] = {
    "type": "object",
    "required": [
        *("type", "title", "status", "detail", "instance"),
        *("code", "action", "trace_id", "errors"),
    ],
    "properties": {
        "type": {"type": "string", "example": "urn:datapunk:error:not_found"},
        "title": {"type": "string"},
        "status": {"type": "integer", "example": 404},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "Path of the request."},
        "code": {"type": "string", "description": "Stable name of the error, for programs."},
        "action": {"type": "string", "description": "What the caller can do."},
        "trace_id": {"type": "string"},
        "dependency": {"type": "string", "description": "The service that does not answer."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
    "description": "What went wrong (RFC 9457).",
}

_OAUTH_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {
        "error": {"type": "string", "example": "invalid_grant"},
        "error_description": {"type": "string"},
    },
    "description": "What went wrong (RFC 6749, 5.2).",
}


_REST_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message", "details", "hint"],
    "properties": {
        "code": {"type": "string", "example": "PGRST100"},
        "message": {"type": "string"},
        "details": {"type": "string", "nullable": True},
        "hint": {"type": "string", "nullable": True},
    },
    "description": "What went wrong, as PostgREST says it.",
}


def build() -> str:
    """Return the document as JSON text."""
    document: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {
            "title": "Datapunk",
            "version": __version__,
            "description": "A serverless data platform: lake, streams and more behind one gateway.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": "/"}],
        "tags": [],
        "paths": {},
        "components": {
            "schemas": {
                "Problem": _TEXT,
                "OAuthError": _OAUTH_ERROR,
                "RestError": _REST_ERROR,
            },
            "securitySchemes": _SECURITY,
        },
    }
    for operation in operations():
        app = getattr(operation.load(), "app", None)
        if isinstance(app, HttpFunction):
            _add(document, operation, app)
    names = sorted({tag for item in _methods(document) for tag in item.get("tags", ())})
    document["tags"] = [{"name": name} for name in names]
    return json.dumps(_as_3_0(document), indent=2) + "\n"


def _add(document: dict[str, Any], operation: Operation, app: HttpFunction) -> None:
    schema = app.get_openapi_schema(title="Datapunk", version=__version__)
    part = schema.model_dump(by_alias=True, exclude_none=True, mode="json")
    for path, methods in part["paths"].items():
        for method, item in methods.items():
            _complete(item, operation, app, path, method)
            place = path.replace("+}", "}")
            if place != path:
                item["parameters"] = [*item.get("parameters", ()), _REST]
            document["paths"].setdefault(place, {})[method] = item
    known = document["components"]["schemas"]
    for name, definition in part.get("components", {}).get("schemas", {}).items():
        if name in _RESOLVERS_OWN:
            continue
        if known.setdefault(name, definition) != definition:
            raise ValueError(f"{operation.id} defines the schema {name} in another way: rename it")


def _complete(
    item: dict[str, Any], operation: Operation, app: HttpFunction, path: str, method: str
) -> None:
    """Add what the resolver cannot know: names, raw bodies, other media types, problems."""
    routes = [*app._static_routes, *app._dynamic_routes]  # noqa: SLF001 -- there is no public list
    here = [route for route in routes if route.openapi_path == path]
    item["operationId"] = operation.id
    if len(here) < len(routes):
        item["operationId"] += f".{path.strip('/')}"
    if len(here) > 1:
        item["operationId"] += f".{method}"
    route = next(route for route in here if route.method.lower() == method)
    item["description"] = inspect.getdoc(route.func) or ""
    item["summary"] = operation.summary[:1].upper() + operation.summary[1:]
    errors: list[type[DatapunkError]] = [*app.raises, *_ANY_ROUTE]
    anonymous = decide(Caller(), operation.id)
    item["security"] = [] if anonymous.allow else [{name: []} for name in _SECURITY]
    if not anonymous.allow:
        errors += _CLOSED
    if anonymous.scope:
        item["description"] += f"\n\nNeeds the scope `{anonymous.scope}`."
    if app.accepts and method not in _WITHOUT_BODY:
        content: dict[str, Any] = {media_type: {"schema": {}} for media_type in app.accepts}
        item["requestBody"] = {"required": app.needs_body, "content": content}
    if "requestBody" in item:
        errors += _ANY_BODY
    if app.parameters:
        item["parameters"] = [*item.get("parameters", ()), *app.parameters]
    if "requestBody" in item or item.get("parameters"):
        errors.append(InvalidInputError)
    item["responses"] = dict(
        sorted(
            {**_successes(item, app), **_problems(app, errors)}.items(), key=lambda pair: pair[0]
        )
    )


def _successes(item: dict[str, Any], app: HttpFunction) -> dict[str, Any]:
    found = {}
    for status, answer in item["responses"].items():
        if status.startswith(("2", "3")):
            redirects = status.startswith("3")
            answer["description"] = "Go on at `Location`." if redirects else "The answer."
            if redirects or status == "204":
                answer.pop("content", None)
            elif app.produces:
                answer["content"] = {kind: {"schema": {}} for kind in app.produces}
            found[status] = answer
    return found


def _problems(app: HttpFunction, errors: list[type[DatapunkError]]) -> dict[str, Any]:
    if (shape := app.error_shape) is not None:
        schema = {"$ref": f"#/components/schemas/{shape.schema}"}
        written = {"application/json": {"schema": schema}}
        return {
            str(status): {"description": text, "content": written}
            for status, text in shape.statuses.items()
        }
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if app.answers_in_oauth:
        content["application/json"] = {"schema": {"$ref": "#/components/schemas/OAuthError"}}
    return {str(cls.status): {"description": cls.title(), "content": content} for cls in errors}


def _methods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _as_3_0(node: Any) -> Any:
    """Return JSON Schema 2020-12, as pydantic writes it, in the words of OpenAPI 3.0."""
    if isinstance(node, list):
        return [_as_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_3_0(value) for key, value in node.items()}
    options = node.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del node["anyOf"]
        if len(rest) == 1 and "$ref" not in rest[0]:
            node.update(rest[0])
        elif rest:
            node["anyOf"] = rest
        node["nullable"] = True
    if "const" in node and "enum" not in node:
        node["enum"] = [node.pop("const")]
    if isinstance(node.get("examples"), list):
        node["example"] = node.pop("examples")[0]
    _bound_as_3_0(node)
    return node


def _bound_as_3_0(node: dict[str, Any]) -> None:
    """Say exclusive bounds by flags: a number there makes the whole schema invalid for readers of 3.0."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if type(node.get(exclusive)) in (int, float):
            node[bound], node[exclusive] = node[exclusive], True
    if "type" in node:
        node.pop("propertyNames", None)  # Has no word in 3.0.
