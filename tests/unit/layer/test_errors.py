"""The error tree: each class says what it is, once."""

from __future__ import annotations

import re

import datapunk.errors as module
import pytest
from datapunk.errors import (
    DatapunkError,
    FieldError,
    PayloadTooLargeError,
    TooManyRequestsError,
    UnavailableError,
    error_classes,
)

CLASSES = error_classes()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_is_complete(cls: type[DatapunkError]) -> None:
    # Given / When
    title = cls.title()
    # Then
    assert cls.__doc__
    assert title
    assert not title.endswith(".")
    assert 400 <= cls.status <= 599
    assert cls.code == cls.code.lower()
    assert cls.action
    assert cls.__name__.endswith("Error")


def test_codes_are_unique() -> None:
    # Given / When
    codes = [cls.code for cls in CLASSES]
    # Then
    assert sorted(set(codes)) == sorted(codes)


def test_the_drawing_shows_every_class() -> None:
    # Given
    drawing = module.__doc__ or ""
    # When
    rows = re.findall(r"(\w+Error) +(\d{3})  (\w+)( +\(retryable\))?", drawing)
    # Then
    drawn = {name: (int(status), code, bool(retryable)) for name, status, code, retryable in rows}
    assert drawn == {cls.__name__: (cls.status, cls.code, cls.retryable) for cls in CLASSES}


def test_only_temporary_errors_are_retryable() -> None:
    # Given / When
    retryable = {cls.status for cls in CLASSES if cls.retryable}
    # Then
    assert retryable == {429, 503, 504}


def test_the_title_is_the_default_message() -> None:
    # Given / When
    error = DatapunkError()
    # Then
    assert str(error) == error.detail == "The request could not be completed"


def test_an_error_that_is_about_one_part_names_it() -> None:
    # Given / When
    error = PayloadTooLargeError("Too large.")
    # Then
    assert error.errors == (FieldError("body", "Too large.", "payload_too_large"),)


def test_errors_that_pass_say_when_to_come_back() -> None:
    # Given / When
    limited, gone = TooManyRequestsError(retry_after=7), UnavailableError("redis")
    # Then
    assert limited.retry_after == 7
    assert (gone.dependency, gone.retry_after) == ("redis", 2)
    assert gone.extra() == {"dependency": "redis"}
