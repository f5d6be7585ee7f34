"""The RabbitMQ event source with a real broker and a real function."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from aws_lambda_powertools.utilities.data_classes.rabbit_mq_event import RabbitMQEvent

from infrastructure.local.catalog import QueueMapping
from infrastructure.local.services.rabbitmq import RabbitMQ
from tests.integration.local.data_plane.plane import Plane, eventually

BROKER_ARN = "arn:aws:mq:us-east-1:000000000000:broker:test:b-1"
pytestmark = pytest.mark.timeout(180)


@contextlib.contextmanager
def channel(broker: RabbitMQ) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(broker.endpoints()["amqp"]))
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
    finally:
        connection.close()


class Queue:
    """A queue of a test's own, and the function that consumes it."""

    def __init__(self, broker: RabbitMQ, plane: Plane, folder: Path) -> None:
        self.broker = broker
        self.plane = plane
        self.folder = folder
        self.name = f"test.{uuid.uuid4().hex[:8]}"
        folder.mkdir()

    def declare(self) -> None:
        with channel(self.broker) as opened:
            arguments = {"x-queue-type": "quorum", "x-delivery-limit": -1}
            opened.queue_declare(self.name, durable=True, arguments=arguments)

    def publish(self, *bodies: bytes, **properties: Any) -> None:
        with channel(self.broker) as opened:
            for body in bodies:
                opened.basic_publish(
                    "", self.name, body, pika.BasicProperties(delivery_mode=2, **properties)
                )

    def consume(self, **more: Any) -> None:
        values: dict[str, Any] = {"batch_size": 100, "window": 0.5, **more}
        mapping = QueueMapping(
            id=self.name,
            function="test-source-collect",
            broker_arn=BROKER_ARN,
            queue=self.name,
            **values,
        )
        function = self.plane.function("source.collect", environment={"COLLECT": str(self.folder)})
        self.plane.start(self.plane.catalog(functions=[function], queues=(mapping,)))

    def events(self, name: str = "events") -> list[dict[str, Any]]:
        path = self.folder / f"{name}.jsonl"
        text = path.read_text() if path.exists() else ""
        # The last line may be half written yet.
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def bodies(self, name: str = "events") -> list[bytes]:
        return [
            base64.b64decode(message["data"])
            for event in self.events(name)
            for messages in event["rmqMessagesByQueue"].values()
            for message in messages
        ]

    def left(self) -> int:
        with channel(self.broker) as opened:
            found = opened.queue_declare(self.name, passive=True)
            return int(found.method.message_count)

    def state(self) -> str:
        (source,) = self.plane.status()["event_sources"]["queues"]
        return str(source["state"])


@pytest.fixture
def queue(broker: RabbitMQ, new_plane: Callable[..., Plane], tmp_path: Path) -> Queue:
    return Queue(broker, new_plane(amqp_url=broker.endpoints()["amqp"]), tmp_path / "collected")


def test_event_is_lambdas(queue: Queue) -> None:
    # Given
    queue.declare()
    queue.publish(
        b'{"a":1}',
        content_type="application/json",
        headers={"text": "value", "number": 10, "flag": True, "table": {"inner": "x"}},
        message_id="m-1",
        timestamp=2021,
        correlation_id="c-1",
        expiration="60000",
        priority=3,
        type="kind",
        app_id="app",
    )
    # When
    queue.consume()
    eventually(queue.events)
    # Then
    (event,) = queue.events()
    assert event == {
        "eventSource": "aws:rmq",
        "eventSourceArn": BROKER_ARN,
        "rmqMessagesByQueue": {
            f"{queue.name}::/": [
                {
                    "basicProperties": {
                        "contentType": "application/json",
                        "contentEncoding": None,
                        "headers": {
                            "text": {"bytes": list(b"value")},
                            "number": 10,
                            "flag": True,
                            "table": {"inner": {"bytes": [120]}},
                        },
                        "deliveryMode": 2,
                        "priority": 3,
                        "correlationId": "c-1",
                        "replyTo": None,
                        "expiration": "60000",
                        "messageId": "m-1",
                        "timestamp": "Jan 1, 1970, 12:33:41 AM",
                        "type": "kind",
                        "userId": None,
                        "appId": "app",
                        "clusterId": None,
                        "bodySize": 7,
                    },
                    "redelivered": False,
                    "data": base64.b64encode(b'{"a":1}').decode(),
                }
            ]
        },
    }
    (message,) = RabbitMQEvent(event).rmq_messages_by_queue[f"{queue.name}::/"]
    assert message.json_data == {"a": 1}
    eventually(lambda: queue.left() == 0)


def test_batches_are_full_or_their_window_has_passed(queue: Queue) -> None:
    # Given
    queue.declare()
    queue.publish(*(str(number).encode() for number in range(25)))
    # When
    queue.consume(batch_size=10)
    eventually(lambda: len(queue.bodies()) == 25)
    # Then
    sizes = [len(next(iter(e["rmqMessagesByQueue"].values()))) for e in queue.events()]
    assert sizes == [10, 10, 5]
    assert queue.bodies() == [str(number).encode() for number in range(25)]
    # And one environment did it all
    assert queue.plane.counts("source.collect")["starts"] == 1


def test_batch_stays_below_six_mebibytes(queue: Queue) -> None:
    # Given messages of which two fit into an event
    queue.declare()
    queue.publish(*(bytes([65 + number]) * 2_000_000 for number in range(4)))
    # When
    queue.consume()
    # Then
    eventually(lambda: len(queue.bodies()) == 4)
    assert len(queue.events()) == 2


def test_failed_batch_comes_back(queue: Queue) -> None:
    # Given a function that fails for now
    (queue.folder / "fail").touch()
    queue.declare()
    queue.publish(b"one", b"two")
    queue.consume()
    eventually(lambda: len(queue.events("attempts")) >= 2)
    assert queue.events() == []
    # When
    (queue.folder / "fail").unlink()
    # Then
    eventually(lambda: sorted(queue.bodies()) == [b"one", b"two"])
    last = queue.events()[-1]["rmqMessagesByQueue"][f"{queue.name}::/"]
    assert all(message["redelivered"] for message in last)
    eventually(lambda: queue.left() == 0)


def test_filters(queue: Queue) -> None:
    # Given
    queue.declare()
    queue.publish(b'{"kind":"a"}', b'{"kind":"b"}', b"no json")
    # When
    queue.consume(filters=('{"data":{"kind":["a"]}}',))
    # Then
    eventually(lambda: queue.bodies() == [b'{"kind":"a"}'])
    eventually(lambda: queue.left() == 0)


def test_queue_that_comes_later(queue: Queue) -> None:
    # Given a mapping whose queue is not declared yet
    queue.consume()
    eventually(lambda: queue.state().startswith("waiting"))
    # When
    queue.declare()
    queue.publish(b"late")
    # Then
    eventually(lambda: queue.bodies() == [b"late"], 30)


def test_broker_that_is_away_at_the_start_and_later(queue: Queue) -> None:
    # Given a data plane that starts before its broker
    queue.declare()
    queue.publish(b"before")
    queue.broker.stop()
    queue.consume()
    eventually(lambda: queue.state().startswith("waiting"))
    queue.broker.start()
    queue.broker.wait_ready(90)
    eventually(lambda: queue.bodies() == [b"before"], 30)
    # When
    queue.broker.stop()
    eventually(lambda: queue.state().startswith("waiting"), 30)
    queue.broker.start()
    queue.broker.wait_ready(90)
    queue.publish(b"after")
    # Then
    eventually(lambda: queue.bodies()[-1] == b"after", 30)


def test_data_plane_that_stops_in_a_batch_loses_nothing(
    queue: Queue, new_plane: Callable[..., Plane]
) -> None:
    # Given a data plane killed while its function fails
    (queue.folder / "fail").touch()
    queue.declare()
    queue.publish(b"kept")
    queue.consume()
    eventually(lambda: queue.events("attempts"))
    queue.plane.stop(9)
    # When another takes over
    (queue.folder / "fail").unlink()
    queue.plane = new_plane(amqp_url=queue.broker.endpoints()["amqp"])
    queue.consume()
    # Then
    eventually(lambda: queue.bodies() == [b"kept"], 30)


def test_mapping_that_is_taken_away(queue: Queue) -> None:
    # Given
    queue.declare()
    queue.consume()
    eventually(lambda: queue.state() == "consuming")
    # When
    queue.plane.reload(queue.plane.catalog())
    # Then
    assert queue.plane.status()["event_sources"]["queues"] == []
    queue.publish(b"alone")
    eventually(lambda: queue.left() == 1)
