"""PostgREST's errors: a code, a message, details and a hint (docs.postgrest.org, Errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datapunk.errors import (
    ConflictError,
    ContentionError,
    DatapunkError,
    DeadlineExceededError,
    ErrorShape,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    NotAvailableError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)

_SHOWN = 100
_CODES: dict[type[DatapunkError], str] = {
    UnauthenticatedError: "PGRST301",
    ForbiddenError: "42501",
    NotFoundError: "PGRST205",
    UnsupportedMediaTypeError: "PGRST102",
    MalformedRequestError: "PGRST102",
    ConflictError: "23505",
    ContentionError: "40001",
    NotAvailableError: "0A000",
    UnavailableError: "PGRST001",
    DeadlineExceededError: "57014",
}
"""PostgREST's code, or PostgreSQL's, of what the rest of the platform raises."""
_RULES = {
    "unique": "23505",
    "missing": "23502",
    "notnullviolation": "23502",
    "foreignkeyviolation": "23503",
    "checkviolation": "23514",
}
"""PostgreSQL's code of a rule that a row breaks."""
_INVALID_TEXT = "22P02"
_CONFLICTS = frozenset({"23503", "23505"})


class RestError(Exception):
    """A request was refused in PostgREST's words."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        super().__init__(f"{code}: {message}")

    def as_dict(self) -> dict[str, str | None]:
        """Return the members of the answer."""
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
        }


def syntax_error(what: str, text: str, place: int, expected: str) -> RestError:
    """Return the error of a parameter that cannot be read."""
    return RestError(
        400,
        "PGRST100",
        f'"failed to parse {what} ({_shown(text)})" (line 1, column {place + 1})',
        f"expecting {expected}",
    )


def not_supported(message: str, hint: str | None = None) -> RestError:
    """Return the error of a request that is PostgREST's, but not known here."""
    return RestError(400, "PGRST127", "Feature not implemented", message, hint)


def unknown_column(dataset: str, name: str) -> RestError:
    """Return the error of a query that names a column there is not."""
    return RestError(400, "42703", f"column {dataset}.{_shown(name)} does not exist")


def unfit_value(name: str, problem: str) -> RestError:
    """Return the error of a value that its column's type cannot hold."""
    return RestError(400, _INVALID_TEXT, f"invalid value for {_shown(name)}: {problem}")


def unfit_operator(problem: str) -> RestError:
    """Return the error of an operator that the type does not have."""
    return RestError(400, "42883", f"operator does not exist: {problem}")


def _shown(text: str) -> str:
    """Return what of a caller's text is repeated to him."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def in_rest(error: DatapunkError) -> RestError:
    """Return an error of the platform in PostgREST's words; what to do about it becomes the hint."""
    code = next((code for cls, code in _CODES.items() if isinstance(error, cls)), error.code)
    status = error.status
    details = "; ".join(f"{item.field}: {item.message}" for item in error.errors) or None
    if isinstance(error, InvalidInputError):
        rule = error.errors[0].code if error.errors else ""
        code = _RULES.get(rule, _INVALID_TEXT)
        status = 409 if code in _CONFLICTS else 400
    return RestError(status, code, error.detail, details, error.action)


def _document(raised: Exception) -> tuple[int, Mapping[str, Any]]:
    if isinstance(raised, RestError):
        return raised.status, raised.as_dict()
    written = in_rest(raised if isinstance(raised, DatapunkError) else DatapunkError())
    return written.status, written.as_dict()


SHAPE = ErrorShape(
    schema="RestError",
    own=RestError,
    document=_document,
    statuses={
        300: "More than one reference could be meant",
        400: "The request cannot be read or does not fit the dataset",
        401: "The request carries no valid credentials",
        403: "The caller may not do this",
        404: "There is no such dataset",
        405: "The query does not name one row by its key",
        406: "There is no answer of this form",
        409: "The request conflicts with what exists",
        413: "The request or its answer is too large",
        415: "The content type is not supported here",
        416: "There are no rows that far",
        429: "Too many requests",
        500: "The request could not be completed",
        501: "This deployment has not what it takes to do this",
        503: "A service this operation depends on does not answer",
        504: "The work did not finish in time",
    },
)
