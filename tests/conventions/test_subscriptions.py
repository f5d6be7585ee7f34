"""The queues that are declared are the queues that the template's mappings consume."""

from __future__ import annotations

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
