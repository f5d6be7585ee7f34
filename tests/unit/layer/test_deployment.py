"""The edge of a function run at deployment: CloudFormation hears of it, whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.deployment import deployment_function
from datapunk.errors import ConflictError, DatapunkError

from tests.support.answers import Answers
from tests.support.lambda_context import LambdaContext

REQUEST = {
    "RequestType": "Create",
    "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/datapunk/1",
    "RequestId": "r-1",
    "LogicalResourceId": "Migration",
}


def _handler(outcome: dict[str, Any] | Exception, runs: list[int] | None = None) -> Any:
    @deployment_function("nexus.try")
    def handler() -> dict[str, Any]:
        if runs is not None:
            runs.append(1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return handler


def test_a_direct_invocation_returns_what_was_done() -> None:
    # Given / When
    outcome = _handler({"applied": ["0001"]})({}, LambdaContext())
    # Then
    assert outcome == {"applied": ["0001"]}


def test_a_direct_invocation_fails_as_it_fails() -> None:
    # Given / When / Then
    with pytest.raises(ConflictError):
        _handler(ConflictError())({}, LambdaContext())


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_success_is_answered(cloudformation: Answers, kind: str) -> None:
    # Given
    event = {**REQUEST, "RequestType": kind, "ResponseURL": cloudformation.url}
    # When
    _handler({"applied": []})(event, LambdaContext())
    # Then
    (document,) = cloudformation.documents
    assert document["Status"] == "SUCCESS"
    assert {name: document[name] for name in REQUEST if name != "RequestType"} == {
        name: value for name, value in REQUEST.items() if name != "RequestType"
    }
    assert document["PhysicalResourceId"] == "Migration"
    # The address is signed for an empty content type.
    assert cloudformation.content_types == [""]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConflictError("Migration 0001 has changed."), "Migration 0001 has changed."),
        (RuntimeError("planted-secret"), "RuntimeError"),
    ],
)
def test_failure_is_answered_with_a_reason(
    cloudformation: Answers, error: Exception, reason: str
) -> None:
    # Given
    event = {**REQUEST, "ResponseURL": cloudformation.url, "PhysicalResourceId": "kept"}
    # When
    _handler(error)(event, LambdaContext())
    # Then
    (document,) = cloudformation.documents
    assert (document["Status"], document["Reason"]) == ("FAILED", reason)
    assert document["PhysicalResourceId"] == "kept"


def test_a_deletion_runs_nothing(cloudformation: Answers) -> None:
    # Given
    runs: list[int] = []
    event = {**REQUEST, "RequestType": "Delete", "ResponseURL": cloudformation.url}
    # When
    _handler({}, runs)(event, LambdaContext())
    # Then
    assert runs == []
    assert cloudformation.documents[0]["Status"] == "SUCCESS"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "file:///etc/passwd", ""])
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    # Given
    event = {**REQUEST, "ResponseURL": url}
    # When / Then
    with pytest.raises(DatapunkError, match="HTTPS"):
        _handler({})(event, LambdaContext())
