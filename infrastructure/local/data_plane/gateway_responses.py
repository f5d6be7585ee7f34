"""What API Gateway answers by itself: status, body and error type of each case.

The cases and their names are those of "Gateway response types" in the API Gateway developer guide.
The API may define its own status, headers and templates for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import orjson

from infrastructure.local.catalog import RestApi


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that can go wrong before or after the function."""

    kind: str
    status: int
    message: str | None
    error_type: str


INTERNAL = "Internal server error"
ACCESS_DENIED: Final = Case(
    "ACCESS_DENIED", 403, "User is not authorized to access this resource", "AccessDeniedException"
)
EXPLICIT_DENY: Final = Case(
    "ACCESS_DENIED",
    403,
    "User is not authorized to access this resource with an explicit deny",
    "AccessDeniedException",
)
AUTHORIZER_CONFIGURATION_ERROR: Final = Case(
    "AUTHORIZER_CONFIGURATION_ERROR", 500, None, "AuthorizerConfigurationException"
)
AUTHORIZER_FAILURE: Final = Case("AUTHORIZER_FAILURE", 500, None, "AuthorizerFailureException")
BAD_REQUEST_PARAMETERS: Final = Case(
    "BAD_REQUEST_PARAMETERS", 400, "Missing required request parameters", "BadRequestException"
)
GATEWAY_FAILURE: Final = Case("DEFAULT_5XX", 500, INTERNAL, "InternalServerErrorException")
INTEGRATION_FAILURE: Final = Case("DEFAULT_5XX", 502, INTERNAL, "InternalServerErrorException")
INTEGRATION_TIMEOUT: Final = Case(
    "INTEGRATION_TIMEOUT", 504, "Endpoint request timed out", "InternalServerErrorException"
)
INVALID_API_KEY: Final = Case("INVALID_API_KEY", 403, "Forbidden", "ForbiddenException")
NO_ROUTE: Final = Case(
    "MISSING_AUTHENTICATION_TOKEN",
    403,
    "Missing Authentication Token",
    "MissingAuthenticationTokenException",
)
NOT_READY: Final = Case(
    "DEFAULT_5XX", 503, "The platform is starting; try again.", "ServiceUnavailableException"
)
REQUEST_TOO_LARGE: Final = Case(
    "REQUEST_TOO_LARGE", 413, "Request Too Long", "RequestTooLargeException"
)
THROTTLED: Final = Case("THROTTLED", 429, "Too Many Requests", "TooManyRequestsException")
UNAUTHORIZED: Final = Case("UNAUTHORIZED", 401, "Unauthorized", "UnauthorizedException")

CLIENT_ERRORS = range(400, 500)
VARIABLE = re.compile(r"\$context\.([A-Za-z][A-Za-z.]*[A-Za-z])")
# By whether the status blames the client: what the API defined for all cases without their own.
GENERAL = {True: "DEFAULT_4XX", False: "DEFAULT_5XX"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(
    case: Case,
    api: RestApi | None,
    *,
    request_id: str,
    path: str = "",
    method: str = "",
    message: str | None = None,
) -> Rendered:
    """Return the answer for a case, as the API has it or as API Gateway has it by default."""
    text = case.message if message is None else message
    custom = None
    if api is not None:
        custom = api.gateway_responses.get(case.kind) or api.gateway_responses.get(
            GENERAL[case.status in CLIENT_ERRORS]
        )
    error_type = ("x-amzn-errortype", case.error_type)
    default = b'{"message":%b}' % orjson.dumps(text)
    if custom is None:
        return Rendered(case.status, (("content-type", "application/json"), error_type), default)
    values = {
        "error.message": text or "",
        "error.messageString": orjson.dumps(text).decode(),
        "error.responseType": case.kind,
        "requestId": request_id,
        "extendedRequestId": request_id,
        "path": _inside_string(path),
        "resourcePath": _inside_string(path),
        "httpMethod": method,
        "stage": api.stage if api else "",
    }
    status = custom.status or case.status
    headers = {"content-type": "application/json"}
    headers.update({name.lower(): value for name, value in custom.headers.items()})
    template = custom.templates.get("application/json")
    body = default
    if template is not None:
        body = VARIABLE.sub(lambda found: values.get(found[1], ""), template).encode()
    return Rendered(status, (*headers.items(), error_type), body)


def _inside_string(text: str) -> str:
    """Text as it may stand between the quotes of a JSON string."""
    return orjson.dumps(text).decode()[1:-1]
