"""The queues that are declared are the queues that the template's mappings consume."""

from __future__ import annotations

import re

import pytest
from datapunk.stream.subscriptions import SUBSCRIPTIONS

from tests.support.samples import operations
from tests.support.templates import template


def _mapped() -> dict[str, str]:
    """Return queue and handler of each mapping."""
    resources = template()["Resources"]
    return {
        queue: resource["Properties"]["Handler"].removesuffix(".handler")
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "MQ"
        for queue in event["Properties"]["Queues"]
    }


def test_every_queue_has_its_mapping_and_the_other_way_round() -> None:
    # Given
    declared = [subscription.queue for subscription in SUBSCRIPTIONS]
    # When
    mapped = _mapped()
    # Then
    assert sorted(declared) == sorted(mapped)


def test_a_queue_is_called_like_its_consumer() -> None:
    # Given / When
    mapped = _mapped()
    # Then
    assert mapped == {queue: queue for queue in mapped}
    assert set(mapped) <= set(operations())


@pytest.mark.parametrize("operation", sorted(_mapped().values()))
def test_its_role_lets_the_mapping_reach_the_broker(operation: str) -> None:
    """A mapping looks for the broker, its secret and its network with the rights of its function's role."""
    # Given
    role = "".join(word.capitalize() for word in re.split(r"[._]", operation)) + "Role"
    # When
    policies = template()["Resources"][role]["Properties"]["ManagedPolicyArns"]
    # Then
    assert {"Ref": "BrokerMappingPolicy"} in policies
