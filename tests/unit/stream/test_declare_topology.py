"""stream.declare_topology: exchanges, queues and bindings, as often as one likes."""

from __future__ import annotations

import pytest
from datapunk.broker.topology import EXCHANGES, RETRY_DELAYS

from tests.support.answers import Answers
from tests.support.invoking import Invoker
from tests.support.samples import load_sample
from tests.support.services import Broker, Instance, eventually

OPERATION = "stream.declare_topology"


@pytest.fixture
def host(instance: Instance, environment: None, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Return a virtual host in which nothing is declared."""
    url = instance.new_virtual_host(empty=True)
    monkeypatch.setenv("AMQP_URL", url)
    return Broker(url)


def test_the_sample_is_answered(host: Broker, invoke: Invoker, cloudformation: Answers) -> None:
    # Given
    event = {**load_sample(OPERATION), "ResponseURL": cloudformation.url}
    # When
    outcome = invoke.event(OPERATION, event)
    # Then
    delays = [f"service.retry.{seconds}s" for seconds in RETRY_DELAYS]
    consumers = ["stream.store_event", "nexus.mirror_service", "lake.measure_changed"]
    assert outcome["queues"] == [
        *delays,
        *(name for queue in consumers for name in (queue, f"{queue}.dead")),
    ]
    assert cloudformation.documents[0]["Status"] == "SUCCESS"


def test_everything_is_durable_and_declaring_again_changes_nothing(
    host: Broker, instance: Instance, invoke: Invoker
) -> None:
    # Given
    name = host.url.rpartition("/")[2]
    invoke.event(OPERATION, {})
    before = instance.management("GET", f"/api/bindings/{name}")
    # When
    invoke.event(OPERATION, {})
    # Then
    exchanges = {
        item["name"]: item["type"]
        for item in instance.management("GET", f"/api/exchanges/{name}")
        if item["durable"] and item["name"].startswith("service.")
    }
    queues = instance.management("GET", f"/api/queues/{name}")
    assert exchanges == EXCHANGES
    assert {queue["arguments"]["x-queue-type"] for queue in queues} == {"quorum"}
    assert all(queue["durable"] for queue in queues)
    assert instance.management("GET", f"/api/bindings/{name}") == before


def test_a_delayed_message_comes_back_to_its_queue(host: Broker, invoke: Invoker) -> None:
    # Given
    import pika

    invoke.event(OPERATION, {})
    properties = pika.BasicProperties(headers={"retry-delay": "1s"}, delivery_mode=2)
    # When
    with host.channel() as channel:
        channel.basic_publish("service.retry", "stream.store_event", b"later", properties)
        at_first = channel.queue_declare("stream.store_event", passive=True).method.message_count
    # Then
    assert at_first == 0
    ((_, body),) = eventually(lambda: host.take("stream.store_event"))
    assert body == b"later"


def test_without_a_broker_cloudformation_hears_why(
    no_broker: None, invoke: Invoker, cloudformation: Answers
) -> None:
    # Given
    event = {**load_sample(OPERATION), "ResponseURL": cloudformation.url}
    # When
    invoke.event(OPERATION, event)
    # Then
    (document,) = cloudformation.documents
    assert (document["Status"], "rabbitmq" in document["Reason"]) == ("FAILED", True)
