"""Problem documents (RFC 9457)."""

from __future__ import annotations

import pytest
from datapunk.errors import (
    DatapunkError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    error_classes,
)
from datapunk.problems import problem, problem_headers, retry_headers
from datapunk.validation import field_errors
from pydantic import BaseModel, Field, ValidationError, field_validator

MEMBERS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "action",
    "trace_id",
    "errors",
}


def _example(cls: type[DatapunkError]) -> DatapunkError:
    return cls("postgresql") if issubclass(cls, UnavailableError) else cls()


@pytest.mark.parametrize("cls", error_classes())
def test_every_error_makes_a_whole_document(cls: type[DatapunkError]) -> None:
    # Given
    error = _example(cls)
    # When
    document = problem(error, instance="/v1/x", trace_id="t")
    # Then
    assert set(document) >= MEMBERS
    assert (document["instance"], document["trace_id"]) == ("/v1/x", "t")
    assert document["type"] == f"urn:datapunk:error:{cls.code}"
    assert document["status"] == cls.status


def test_field_errors_are_listed() -> None:
    # Given
    error = InvalidInputError("x", errors=[FieldError("a.b", "is odd", "odd")])
    # When
    document = problem(error, instance="/", trace_id="")
    # Then
    assert document["errors"] == [{"field": "a.b", "message": "is odd", "code": "odd"}]


def test_retry_after_is_in_seconds() -> None:
    # Given / When / Then
    assert retry_headers(TooManyRequestsError(retry_after=3)) == {"Retry-After": "3"}
    assert retry_headers(DatapunkError()) == {}


class _Inner(BaseModel):
    type: int


class _Model(BaseModel):
    columns: list[_Inner]
    name: str = Field(max_length=3)

    @field_validator("name")
    @classmethod
    def _refused(cls, value: str) -> str:
        raise ValueError(f"is refused{value[:0]}")


def test_pydantic_errors_become_dotted_fields_without_the_input() -> None:
    # Given
    with pytest.raises(ValidationError) as raised:
        _Model.model_validate({"columns": [{"type": "planted"}], "name": "abc"})
    found = [{**item, "loc": ("body", *item["loc"])} for item in raised.value.errors()]
    # When
    errors = field_errors(found)
    # Then
    assert [error.field for error in errors] == ["columns.0.type", "name"]
    assert errors[1].message == "is refused"
    assert "planted" not in str(errors)


@pytest.mark.parametrize(
    ("location", "field"),
    [(("query", "limit"), "limit"), (("body",), "body"), (("path", "a", 1), "a.1"), (("x",), "x")],
)
def test_where_a_value_came_from_is_left_out(location: tuple[str | int, ...], field: str) -> None:
    # Given
    item = {"loc": location, "msg": "m", "type": "t"}
    # When / Then
    assert field_errors([item]) == [FieldError(field, "m", "t")]


def test_who_could_get_in_with_other_credentials_is_told_which() -> None:
    # Given / When / Then
    insufficient = 'Bearer error="insufficient_scope", scope="write"'
    assert problem_headers(UnauthenticatedError()) == {"WWW-Authenticate": "Bearer"}
    assert problem_headers(ForbiddenError(scope="write")) == {"WWW-Authenticate": insufficient}
    assert problem_headers(ForbiddenError()) == {}
    assert problem_headers(TooManyRequestsError(retry_after=3)) == {"Retry-After": "3"}
