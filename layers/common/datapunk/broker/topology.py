"""Exchanges and queues, declared idempotently by `stream.declare_topology`.

==================  =======  =================================================================
exchange            type     what goes there
==================  =======  =================================================================
`service.events`    topic    every event, routed by its type
`service.commands`  direct   requests to one consumer, routed by its queue's name
`service.retry`     headers  a message to be tried again; `retry-delay` picks the delay queue
`service.dead`      direct   a message given up, routed by the name of the queue it came from
==================  =======  =================================================================

Each consumer has one queue, called like its operation, and a queue `<name>.dead` for what it gave up. A
delay queue holds a message for its time and then returns it, by the default exchange, to the queue its
routing key names. All queues are durable quorum queues, the kind Amazon MQ recommends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

EVENTS = "service.events"
COMMANDS = "service.commands"
RETRY = "service.retry"
DEAD = "service.dead"
EXCHANGES = {EVENTS: "topic", COMMANDS: "direct", RETRY: "headers", DEAD: "direct"}

RETRY_DELAYS = (1, 2, 4)
"""Seconds before the second, third and fourth attempt."""
RETRY_HEADER = "retry-delay"

# The consumer's edge counts attempts itself. The broker's own limit only ends what no edge ever sees, and
# must outlast an outage of the database, during which every batch is returned.
_DELIVERY_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer's queue and the event types it wants (AMQP topic patterns)."""

    queue: str
    patterns: tuple[str, ...]


def dead_queue(queue: str) -> str:
    """Return the name of the queue of what the consumer of `queue` gave up."""
    return f"{queue}.dead"


def delay_queue(seconds: int) -> str:
    """Return the name of the queue that holds messages for `seconds`."""
    return f"{RETRY}.{seconds}s"


def declare(channel: Any, subscriptions: Iterable[Subscription]) -> list[str]:
    """Declare every exchange, queue and binding; return the queues' names.

    Declaring again changes nothing; a queue that exists with other arguments is an error of the broker.
    """
    for exchange, kind in EXCHANGES.items():
        channel.exchange_declare(exchange, exchange_type=kind, durable=True)
    queues = []
    for seconds in RETRY_DELAYS:
        queues.append(name := delay_queue(seconds))
        channel.queue_declare(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": seconds * 1000,
                "x-dead-letter-exchange": "",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        binding = {"x-match": "all", RETRY_HEADER: f"{seconds}s"}
        channel.queue_bind(name, RETRY, routing_key="", arguments=binding)
    for subscription in subscriptions:
        queues += _declare_consumer(channel, subscription)
    return queues


def _declare_consumer(channel: Any, subscription: Subscription) -> list[str]:
    queue, dead = subscription.queue, dead_queue(subscription.queue)
    channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(dead, DEAD, routing_key=queue)
    channel.queue_declare(
        queue,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": _DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD,
            "x-dead-letter-routing-key": queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    channel.queue_bind(queue, COMMANDS, routing_key=queue)
    for pattern in subscription.patterns:
        channel.queue_bind(queue, EVENTS, routing_key=pattern)
    return [queue, dead]
