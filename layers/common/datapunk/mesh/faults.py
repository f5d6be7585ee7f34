"""Errors on their way between services: the platform's tree in Connect's and gRPC's codes, and back.

What the code cannot say travels as a `datapunk.mesh.v1.Problem`, so that a caller gets the error the callee
raised, over whichever transport. Source of codes and statuses: "Error Codes" of the Connect protocol.
"""

from __future__ import annotations

import base64
import binascii
from functools import cache
from typing import Any

import orjson

from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    FieldError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    error_classes,
)

PROBLEM = "datapunk.mesh.v1.Problem"
UNIMPLEMENTED = "unimplemented"
UNAVAILABLE = "unavailable"
CODES = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    409: "already_exists",
    412: "failed_precondition",
    413: "resource_exhausted",
    415: UNIMPLEMENTED,
    422: "invalid_argument",
    429: "resource_exhausted",
    500: "internal",
    503: UNAVAILABLE,
    504: "deadline_exceeded",
}
"""Connect's code of each status of the error tree; gRPC's are the same in capitals."""
_STATUSES = {
    "canceled": 499,
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "failed_precondition": 400,
    "resource_exhausted": 429,
    "internal": 500,
    UNAVAILABLE: 503,
    "deadline_exceeded": 504,
    UNIMPLEMENTED: 415,
}
_PLAIN: dict[str, type[DatapunkError]] = {
    "unauthenticated": UnauthenticatedError,
    "permission_denied": ForbiddenError,
    "not_found": NotFoundError,
    "resource_exhausted": TooManyRequestsError,
    "deadline_exceeded": DeadlineExceededError,
}
"""What a code means that comes without a problem: from a gateway or a library in between."""


def code_of(error: DatapunkError) -> str:
    """Return Connect's code of an error."""
    return CODES.get(error.status, "unknown")


def status_of(code: str) -> int:
    """Return the HTTP status that Connect gives a code."""
    return _STATUSES.get(code, 500)


def problem_of(error: DatapunkError) -> bytes:
    """Return an error as a serialized `Problem`."""
    from datapunk.mesh.generated.mesh_pb2 import Problem

    return Problem(
        code=error.code,
        detail=error.detail,
        errors=[item.as_dict() for item in error.errors],
        retry_after=getattr(error, "retry_after", 0),
        dependency=getattr(error, "dependency", ""),
        scope=getattr(error, "scope", ""),
    ).SerializeToString()


def error_of(problem: bytes) -> DatapunkError | None:
    """Return the error that a serialized `Problem` describes, None where it is none."""
    from google.protobuf.message import DecodeError

    from datapunk.mesh.generated.mesh_pb2 import Problem

    try:
        said = Problem.FromString(problem)
    except DecodeError:
        return None
    cls = _classes().get(said.code)
    if cls is None:
        return None
    errors = [FieldError(item.field, item.message, item.code) for item in said.errors]
    error: DatapunkError
    if issubclass(cls, UnavailableError):
        error = cls(said.dependency, said.detail, retry_after=said.retry_after)
    elif issubclass(cls, TooManyRequestsError):
        error = cls(said.detail, retry_after=said.retry_after)
    elif issubclass(cls, ForbiddenError):
        error = cls(said.detail, scope=said.scope)
    else:
        error = cls(said.detail)
    error.errors = tuple(errors)
    return error


def plain_error(service: str, code: str, message: str) -> DatapunkError:
    """Return the error that a code means which comes without a problem."""
    cls = _PLAIN.get(code)
    if cls is not None:
        return cls(message or None)
    if code in (UNAVAILABLE, "canceled", "aborted"):
        return UnavailableError(service, message or None)
    return DatapunkError()


def as_connect(error: DatapunkError) -> bytes:
    """Return an error as the body of a Connect answer."""
    value = base64.b64encode(problem_of(error)).decode().rstrip("=")
    return orjson.dumps(
        {
            "code": code_of(error),
            "message": error.detail,
            "details": [{"type": PROBLEM, "value": value}],
        }
    )


def from_connect(service: str, status: int, body: bytes) -> DatapunkError:
    """Return the error in a Connect answer, whoever between caller and callee has written it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        details = document.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and detail.get("type") == PROBLEM:
                found = error_of(_unpadded(str(detail.get("value", ""))))
                if found is not None:
                    return found
        code, message = str(document.get("code", "")), str(document.get("message", ""))
        if "type" in document and code in _classes():
            # A problem document: the gateway's own, or of an edge before the call's.
            return _from_document(service, code, document)
        if code in _STATUSES:
            return plain_error(service, code, message)
    return plain_error(service, CODES.get(status, UNAVAILABLE), "")


def _from_document(service: str, code: str, document: dict[str, Any]) -> DatapunkError:
    cls = _classes()[code]
    detail = str(document.get("detail") or "") or None
    if issubclass(cls, UnavailableError):
        return cls(str(document.get("dependency") or service), detail)
    return cls(detail)


def _unpadded(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return b""


@cache
def _classes() -> dict[str, type[DatapunkError]]:
    return {cls.code: cls for cls in error_classes()}
