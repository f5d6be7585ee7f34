"""The event Lambda makes of RabbitMQ messages (`aws:rmq`).

Shape and notation are those of the service, which builds them from the Java client's types: a text
header is an object with its bytes, a time is written the way Java's default format writes it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

SIGNED_BYTE = 128


@dataclass(frozen=True, slots=True)
class Message:
    """A delivered message: `tag` acknowledges it, `properties` are those of pika."""

    tag: int
    redelivered: bool
    properties: Any
    body: bytes


def rabbitmq_event(
    messages: Sequence[Message], *, queue: str, virtual_host: str, broker_arn: str
) -> dict[str, Any]:
    """Return the event with all messages of a batch; they come from one queue."""
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": broker_arn,
        "rmqMessagesByQueue": {
            f"{queue}::{virtual_host}": [message_entry(message) for message in messages]
        },
    }


def message_entry(message: Message) -> dict[str, Any]:
    """Return the entry of one message."""
    given = message.properties
    return {
        "basicProperties": {
            "contentType": given.content_type,
            "contentEncoding": given.content_encoding,
            "headers": {name: header_value(value) for name, value in (given.headers or {}).items()},
            "deliveryMode": given.delivery_mode,
            "priority": given.priority,
            "correlationId": given.correlation_id,
            "replyTo": given.reply_to,
            "expiration": given.expiration,
            "messageId": given.message_id,
            "timestamp": None if given.timestamp is None else java_time(given.timestamp),
            "type": given.type,
            "userId": given.user_id,
            "appId": given.app_id,
            "clusterId": given.cluster_id,
            "bodySize": len(message.body),
        },
        "redelivered": message.redelivered,
        "data": base64.b64encode(message.body).decode("ascii"),
    }


def header_value(value: Any) -> Any:
    """Return a header's value as the event has it; Java's bytes are signed."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes | bytearray):
        return {"bytes": [b - 256 if b >= SIGNED_BYTE else b for b in value]}
    if isinstance(value, Mapping):
        return {name: header_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [header_value(item) for item in value]
    if isinstance(value, datetime):
        return java_time(value.timestamp())
    if isinstance(value, Decimal):
        return float(value)
    return value


def java_time(seconds: float) -> str:
    """Return a time as `Jan 1, 1970, 12:33:41 AM` in UTC."""
    time = datetime.fromtimestamp(seconds, UTC)
    return f"{time:%b} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S %p}"
