"""The one error tree of the platform.

Raised low, by meaning; mapped once, at the edge, by class::

    DatapunkError                 500  internal
    ├── ConfigurationError        500  configuration
    ├── DamagedCellError          500  damaged_value
    ├── DamagedArchiveError       500  damaged_archive
    ├── MalformedRequestError     400  malformed_request
    ├── UnauthenticatedError      401  unauthenticated
    ├── ForbiddenError            403  forbidden
    ├── NotFoundError             404  not_found
    ├── ConflictError             409  conflict
    ├── PreconditionFailedError   412  precondition_failed
    ├── PayloadTooLargeError      413  payload_too_large
    ├── UnsupportedMediaTypeError 415  unsupported_media_type
    ├── InvalidInputError         422  invalid_input
    ├── TooManyRequestsError      429  too_many_requests   (retryable)
    ├── NotAvailableError         501  not_available
    ├── BadGatewayError           502  bad_gateway
    ├── UnavailableError          503  unavailable         (retryable)
    │   ├── ContentionError       503  contention          (retryable)
    │   ├── CircuitOpenError      503  circuit_open        (retryable)
    │   └── BulkheadFullError     503  bulkhead_full       (retryable)
    ├── PausedError               503  paused              (retryable)
    └── DeadlineExceededError     504  deadline_exceeded   (retryable)

`status` is the HTTP status at the edge, `code` is stable and meant for programs, `retryable` tells a
queue function whether trying again may help. A class's first docstring line is its title and its
default message; `action` says what the caller can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input: where (`field`, dotted), what (`message`) and which rule (`code`)."""

    field: str
    message: str
    code: str

    def as_dict(self) -> dict[str, str]:
        """Return the members as they appear in a problem's `errors`."""
        return asdict(self)


class DatapunkError(Exception):
    """The request could not be completed."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    action: ClassVar[str] = "Try again later; if it persists, report the trace id to the operator."
    field: ClassVar[str] = ""
    """The part of a request that this kind of error is always about."""

    def __init__(self, detail: str | None = None, *, errors: Sequence[FieldError] = ()) -> None:
        self.detail = detail or self.title()
        self.errors = tuple(errors)
        if self.field and not errors:
            self.errors = (FieldError(self.field, self.detail, self.code),)
        super().__init__(self.detail)

    @classmethod
    def title(cls) -> str:
        """Return the short, constant description of this kind of error."""
        return (cls.__doc__ or "Error").strip().splitlines()[0].rstrip(".")

    def extra(self) -> dict[str, Any]:
        """Return members that this kind of error adds to its problem document."""
        return {}


class ConfigurationError(DatapunkError):
    """A setting is missing or wrong."""

    code = "configuration"
    action = "The operator must set the named variable in the template or the environment."


class DamagedCellError(DatapunkError):
    """An encrypted value was changed, or does not belong to its row."""

    code = "damaged_value"
    action = "Restore the row from a backup; the trace id tells the operator which query found it."


class DamagedArchiveError(DatapunkError):
    """The object of an archive is gone, or is not what was written to it."""

    code = "damaged_archive"
    action = "Bring the object back from another version of it in the bucket; nothing was changed."


class MalformedRequestError(DatapunkError):
    """The request cannot be read."""

    status = 400
    code = "malformed_request"
    field = "body"
    action = "Send a body that is well-formed in the content type it declares."


class UnauthenticatedError(DatapunkError):
    """The request carries no valid credentials."""

    status = 401
    code = "unauthenticated"
    action = "Send a valid bearer token or API key."


class ForbiddenError(DatapunkError):
    """The caller may not do this."""

    status = 403
    code = "forbidden"
    action = "Ask the owner for access, or use credentials that have it."

    def __init__(self, detail: str | None = None, *, scope: str = "") -> None:
        super().__init__(detail)
        self.scope = scope
        """The scope that the credentials lack, where that is the reason."""


class NotFoundError(DatapunkError):
    """There is no such resource."""

    status = 404
    code = "not_found"
    action = "Check the name; list the collection to see what exists."


class ConflictError(DatapunkError):
    """The request conflicts with what exists."""

    status = 409
    code = "conflict"
    action = "Read the current state and decide again."


class PreconditionFailedError(DatapunkError):
    """The resource has changed since it was read."""

    status = 412
    code = "precondition_failed"
    action = "Read the resource again and repeat the request with its new ETag."


class PayloadTooLargeError(DatapunkError):
    """The request body is too large."""

    status = 413
    code = "payload_too_large"
    field = "body"
    action = "Split the body into smaller requests."


class UnsupportedMediaTypeError(DatapunkError):
    """The content type is not supported here."""

    status = 415
    code = "unsupported_media_type"
    field = "content-type"
    action = "Use one of the content types that the operation documents."


class InvalidInputError(DatapunkError):
    """The input does not satisfy the rules."""

    status = 422
    code = "invalid_input"
    action = "Correct the named fields and send the request again."


class TooManyRequestsError(DatapunkError):
    """Too many requests."""

    status = 429
    code = "too_many_requests"
    retryable = True
    action = "Wait for the time in Retry-After, then send the request again."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotAvailableError(DatapunkError):
    """This deployment has not what it takes to do this."""

    status = 501
    code = "not_available"
    action = "Do without it, or ask the operator to install what the detail names."


class BadGatewayError(DatapunkError):
    """A service answered with what cannot be passed on."""

    status = 502
    code = "bad_gateway"
    action = "Ask for less at once; if it persists, report the trace id to the service's owner."


class UnavailableError(DatapunkError):
    """A service this operation depends on does not answer."""

    status = 503
    code = "unavailable"
    retryable = True
    action = "Wait for the time in Retry-After, then send the request again."

    def __init__(self, dependency: str, detail: str | None = None, *, retry_after: int = 2) -> None:
        super().__init__(detail or f"{dependency} does not answer.")
        self.dependency = dependency
        self.retry_after = retry_after

    def extra(self) -> dict[str, Any]:
        """Name the service that does not answer."""
        return {"dependency": self.dependency}


class ContentionError(UnavailableError):
    """Others are changing the same data."""

    code = "contention"


class PausedError(DatapunkError):
    """An operator has paused this."""

    status = 503
    code = "paused"
    retryable = True
    action = "Wait for the time in Retry-After, then send the request again; ask the operator if it persists."

    def __init__(self, detail: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class CircuitOpenError(UnavailableError):
    """A service this operation depends on has failed too often and is left alone for a while."""

    code = "circuit_open"


class BulkheadFullError(UnavailableError):
    """A service this operation depends on is busy with as many calls as it may get."""

    code = "bulkhead_full"


class DeadlineExceededError(DatapunkError):
    """The work did not finish in time."""

    status = 504
    code = "deadline_exceeded"
    retryable = True
    action = "Ask for less at once: a smaller page, a narrower filter, a smaller body."


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How a foreign protocol writes errors, as JSON.

    `own` are errors in the protocol's own words, which are raised besides those of the tree; `document` makes
    status and members of either. `schema` is their name in the API's document, `statuses` are all that there
    are, with what they mean.
    """

    schema: str
    own: type[Exception]
    document: Callable[[Exception], tuple[int, Mapping[str, Any]]]
    statuses: Mapping[int, str]


def error_classes() -> list[type[DatapunkError]]:
    """Return every class of the tree, parents first."""
    found: list[type[DatapunkError]] = [DatapunkError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found
