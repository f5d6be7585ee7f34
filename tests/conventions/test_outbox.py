"""Who publishes what it has just committed may read how the broker is reached, or its events come late."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import file_of, imports_of
from tests.support.samples import handler_file, operations
from tests.support.templates import template

PUBLISHES = "relay_now"
DEFINED = "datapunk.outbox"
POLICY = {"Fn::If": ["ManagedBroker", {"Ref": "BrokerSecretPolicy"}, {"Ref": "AWS::NoValue"}]}


def _names(file: Path | None) -> bool:
    return file is not None and PUBLISHES in file.read_text()


def _publishes(operation: str) -> bool:
    handler = handler_file(operation)
    return _names(handler) or any(_names(file_of(m)) for m in imports_of(handler) if m != DEFINED)


PUBLISHING = [operation for operation in operations() if _publishes(operation)]


def test_some_operations_publish_at_once() -> None:
    # Given / When / Then
    assert {"lake.insert_records", "lake.load_upload", "stream.store_event"} < set(PUBLISHING)


@pytest.mark.parametrize("operation", PUBLISHING)
def test_who_publishes_at_once_may_reach_the_broker(operation: str) -> None:
    # Given
    prefix = "".join(word.capitalize() for word in operation.replace(".", "_").split("_"))
    # When
    role = template()["Resources"][f"{prefix}Role"]["Properties"]
    # Then
    assert POLICY in role["ManagedPolicyArns"]
