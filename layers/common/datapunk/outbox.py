"""Messages that belong to a database change: committed with it, published after it.

A message waits in `platform.outbox` until the broker has confirmed it. The function that wrote it tries
at once; `stream.relay_outbox` brings the rest. A crash between confirmation and deletion publishes a
message twice, under the same message id, which every consumer's inbox knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psycopg.types.json import Jsonb

from datapunk.broker import Message, publish
from datapunk.context import remaining_seconds
from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import DatapunkError, UnavailableError
from datapunk.events import CloudEvent, event_message
from datapunk.telemetry import logger

_RESERVE = 10.0
_AT_ONCE = 100
_SQL = Path(__file__).with_suffix(".sql")


def enqueue(tx: Transaction, *messages: Message) -> None:
    """Add messages to the change in hand, to be published in this order."""
    tx.execute_many(
        load_queries(_SQL)["enqueue"],
        [
            {
                "exchange": message.exchange,
                "routing_key": message.routing_key,
                "message_id": message.message_id,
                "content_type": message.content_type,
                "headers": Jsonb(dict(message.headers)),
                "body": message.body,
            }
            for message in messages
        ],
    )


def emit(tx: Transaction, event: CloudEvent) -> CloudEvent:
    """Add an event to the change in hand and return it as it will be published."""
    signed = event.signed_by(tx.caller)
    enqueue(tx, event_message(signed))
    return signed


def publish_events(events: Sequence[CloudEvent]) -> None:
    """Publish events that tell of no other change, in the name of the current caller.

    They are kept in one transaction, with the record of the request, before the broker is asked: they are
    published if and only if they are recorded, and a broker that is away only delays them. Raises
    UnavailableError when the database does not answer.
    """
    with transaction() as tx:
        enqueue(tx, *(event_message(event.signed_by(tx.caller)) for event in events))
    relay_now(limit=max(_AT_ONCE, len(events)))


def relay(*, limit: int = 500) -> int:
    """Publish waiting messages, oldest first, and return how many the broker took.

    Runs at once in several environments: each takes other rows. Raises UnavailableError when the
    database or the broker does not answer; what was confirmed before stays published.
    """
    queries = load_queries(_SQL)
    with transaction() as tx:
        tx.execute(queries["forgive_loss"])
        rows = tx.all(queries["take"], {"limit": limit})
        messages = [
            Message(
                exchange=row["exchange"],
                routing_key=row["routing_key"],
                body=bytes(row["body"]),
                message_id=row["message_id"],
                content_type=row["content_type"],
                headers=row["headers"],
            )
            for row in rows
        ]
        confirmed: list[int] = []
        failure: UnavailableError | None = None
        try:
            publish(messages, published=lambda index: confirmed.append(rows[index]["id"]))
        except UnavailableError as error:
            failure = error
        if confirmed:
            tx.execute(queries["delete"], {"ids": confirmed})
    if failure is not None:
        raise failure
    return len(confirmed)


def relay_all() -> int:
    """Publish until nothing waits or the time is up; return how many the broker took.

    Raises UnavailableError when the database or the broker does not answer.
    """
    total = 0
    while (published := relay()) and remaining_seconds() > _RESERVE:
        total += published
    return total + published


def relay_now(*, limit: int = _AT_ONCE) -> None:
    """Try to publish what this environment has just committed; what fails stays for the relay.

    Never raises: the change is committed, and its caller must not be told otherwise.
    """
    try:
        relay(limit=limit)
    except DatapunkError as error:
        logger().warning("outbox waits", extra={"code": error.code, "detail": error.detail})
    except Exception:  # noqa: BLE001 -- see above
        logger().exception("outbox waits")


def waiting() -> tuple[int, float]:
    """Return how many messages wait and for how many seconds the oldest has."""
    with transaction() as tx:
        row = tx.one(load_queries(_SQL)["waiting"]) or {}
    return int(row.get("messages", 0)), float(row.get("seconds", 0.0))
