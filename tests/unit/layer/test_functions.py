"""Invoking functions: what is sent, once, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from datapunk import functions
from datapunk.errors import ConfigurationError, DeadlineExceededError, UnavailableError
from datapunk.functions import FunctionFailedError, invoke, invoke_later, sibling
from datapunk.settings import settings

from tests.support.lambda_api import LambdaApi, answering


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaApi]:
    with answering() as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", found.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        functions.forget()
        yield found
    functions.forget()


def test_a_function_is_run_and_its_answer_returned(api: LambdaApi) -> None:
    # Given
    api.answer = lambda *_: (200, {}, b'{"n": 2}')
    # When
    answered = invoke("datapunk-billing", b'{"n": 1}', 5)
    # Then
    assert answered == b'{"n": 2}'
    assert api.calls == [("datapunk-billing", "RequestResponse", b'{"n": 1}')]


def test_an_event_is_handed_over(api: LambdaApi) -> None:
    # Given
    api.answer = lambda *_: (202, {}, b"")
    # When
    invoke_later("datapunk-billing", b"{}")
    # Then
    assert api.calls == [("datapunk-billing", "Event", b"{}")]


def test_a_function_that_fails(api: LambdaApi) -> None:
    # Given
    api.answer = lambda *_: (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "x"}')
    # When / Then
    with pytest.raises(FunctionFailedError):
        invoke("datapunk-billing", b"{}", 5)


def test_what_may_have_run_is_not_sent_again(api: LambdaApi) -> None:
    # Given Lambda that has no room
    api.answer = lambda *_: (429, {"X-Amzn-ErrorType": "TooManyRequestsException"}, b"{}")
    # When / Then
    with pytest.raises(UnavailableError, match="TooManyRequestsException"):
        invoke("datapunk-billing", b"{}", 5)
    assert len(api.calls) == 1


def test_a_function_that_takes_too_long(api: LambdaApi) -> None:
    # Given
    def slow(*_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(2)
        return 200, {}, b"{}"

    api.answer = slow
    # When / Then
    with pytest.raises(DeadlineExceededError):
        invoke("datapunk-billing", b"{}", 1)
    assert len(api.calls) == 1


def test_siblings_are_called_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a stack whose name has dashes
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "data-punk-dev-nexus-route")
    settings.cache_clear()
    # When / Then
    assert sibling("nexus.run_request") == "data-punk-dev-nexus-run_request"
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "")
    settings.cache_clear()
    with pytest.raises(ConfigurationError):
        sibling("nexus.run_request")
    settings.cache_clear()
