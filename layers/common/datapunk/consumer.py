"""The edge of a queue function: decides per message, so that one bad message never harms the others.

The Lambda mapping of RabbitMQ knows only all or nothing for a batch. Here each message ends as

- *done*: its effect and its inbox row commit together, so a redelivery is a no-op;
- *retry*: it goes to the delay ladder (1 s, 2 s, 4 s) through the outbox;
- *dead*: it goes to the dead-letter exchange through the outbox, with the reason.

All decisions of a batch commit in one transaction, each message below its own savepoint. The batch itself
fails, and is redelivered whole, only when the database is gone or the function is ended midway. Redelivered
messages are decided one by one, so that the one that ends its function each time is recognised by its
repeated starts and given up, and no other with it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import inspect
import time
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from datapunk import inbox
from datapunk.broker import Message
from datapunk.broker.topology import DEAD, RETRY, RETRY_DELAYS, RETRY_HEADER
from datapunk.context import WorkContext, continue_correlation, continue_trace, deadline_of, working
from datapunk.database import Transaction, transaction
from datapunk.errors import ContentionError, DatapunkError, UnavailableError
from datapunk.identity import PUBLIC_TENANT, Caller
from datapunk.outbox import enqueue, relay_now
from datapunk.policy import Resource, require
from datapunk.telemetry import count, logger, observe

MAX_ATTEMPTS = 1 + len(RETRY_DELAYS)
MAX_STARTS = 3
"""How often work on a redelivered message may begin without coming to an outcome."""
ATTEMPT_HEADER = "attempt"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of a batch as the mapping delivered it."""

    queue: str
    message_id: str
    body: bytes
    content_type: str
    headers: Mapping[str, Any]
    redelivered: bool

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        try:
            return max(1, int(self.headers.get(ATTEMPT_HEADER, 1)))
        except (TypeError, ValueError):
            return 1

    @property
    def caller(self) -> Caller:
        """In whose name the message was published."""
        return Caller(
            principal=str(self.headers.get("principal") or "service"),
            tenant=str(self.headers.get("tenant") or PUBLIC_TENANT),
        )


class _DecidedElsewhereError(Exception):
    """Another batch has decided on this message meanwhile."""


MessageHandler = Callable[[Any, Transaction], None]
LambdaHandler = Callable[[dict[str, Any], Any], dict[str, int]]


def queue_function(operation: str) -> Callable[[MessageHandler], LambdaHandler]:
    """Turn `handle(message, transaction)` into the Lambda handler of a RabbitMQ mapping.

    The message's type is the pydantic model of the first parameter. An error of ours with
    `retryable = False` and input that does not fit the model are given up at once; any other error is
    tried again, `MAX_ATTEMPTS` times in all.
    """

    def decorate(handle: MessageHandler) -> LambdaHandler:
        first = next(iter(inspect.signature(handle).parameters))

        @functools.cache
        def model() -> type[BaseModel]:
            return typing.cast("type[BaseModel]", typing.get_type_hints(handle)[first])

        @functools.wraps(handle)
        def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
            deliveries = list(read_deliveries(event))
            work = _batch_context(operation, deliveries, context)
            started = time.perf_counter()
            with working(work):
                outcomes = _Batch(operation, handle, model()).run(deliveries)
                relay_now()
                for name, number in outcomes.items():
                    if number:
                        count("messages_total", number, service=work.service, outcome=name)
                observe(
                    "stream_processing_duration",
                    time.perf_counter() - started,
                    service=work.service,
                    operation=operation,
                )
                logger().info("batch", extra={"messages": len(deliveries), **outcomes})
            return outcomes

        return handler

    return decorate


class _Batch:
    """The processing of one batch of one consumer."""

    def __init__(self, consumer: str, handle: MessageHandler, model: type[BaseModel]) -> None:
        self.consumer = consumer
        self.handle = handle
        self.model = model
        self.outcomes = {"done": 0, "retry": 0, "dead": 0, "duplicate": 0}

    def run(self, deliveries: list[Delivery]) -> dict[str, int]:
        """Bring every message to an outcome and return how many had which."""
        fresh = [item for item in deliveries if not item.redelivered]
        if fresh:
            with transaction() as tx:
                self._all(tx, fresh)
        for item in deliveries:
            if item.redelivered:
                self._alone(item)
        return self.outcomes

    def _all(self, tx: Transaction, deliveries: list[Delivery]) -> None:
        known = inbox.decided(tx, self.consumer, [item.message_id for item in deliveries])
        for item in deliveries:
            if (item.message_id, item.attempt) in known:
                self.outcomes["duplicate"] += 1
                continue
            self.outcomes[self._one(tx, item, 0)] += 1
            known.add((item.message_id, item.attempt))

    def _alone(self, item: Delivery) -> None:
        """Bring a message that came before to its outcome, in transactions of its own.

        The start is recorded first, so that when the function ends here, this message is known to have been
        in hand and no other is suspected; what was decided before it stays decided.
        """
        with transaction() as tx:
            if (item.message_id, item.attempt) in inbox.decided(
                tx, self.consumer, [item.message_id]
            ):
                self.outcomes["duplicate"] += 1
                return
            starts = inbox.count_starts(tx, self.consumer, [item.message_id])
        with transaction() as tx:
            outcome = self._one(tx, item, starts.get(item.message_id, 0))
            inbox.forget_starts(tx, self.consumer, [item.message_id])
        self.outcomes[outcome] += 1

    def _one(self, tx: Transaction, item: Delivery, starts: int) -> str:
        """Bring one message to its outcome; nothing of it remains when another batch was first."""
        try:
            with tx.savepoint():
                return self._decide(tx, item, starts)
        except _DecidedElsewhereError:
            return "duplicate"

    def _decide(self, tx: Transaction, item: Delivery, starts: int) -> str:
        if starts > MAX_STARTS:
            return self._bury(
                tx, item, "the function ended each time it worked on this message", ""
            )
        try:
            message = self.model.model_validate_json(item.body)
            self._check_tenant(message, item)
            with tx.savepoint():
                inbox.act_for(tx, item.caller)
                self.handle(message, tx)
                self._record(tx, item, "done")
        except _DecidedElsewhereError:
            raise
        except UnavailableError as error:
            if error.dependency == "postgresql" and not isinstance(error, ContentionError):
                raise
            return self._again(tx, item, error)
        except ValidationError as error:
            return self._bury(tx, item, _validation_reason(error), "")
        except DatapunkError as error:
            if error.retryable:
                return self._again(tx, item, error)
            return self._bury(tx, item, f"{error.code}: {error.detail}", _digest(error))
        except Exception as error:  # noqa: BLE001 -- an unforeseen error must not stop the others
            return self._again(tx, item, error)
        return "done"

    def _check_tenant(self, message: BaseModel, item: Delivery) -> None:
        """Raise ForbiddenError for a message that the policy keeps from its tenant's consumers.

        Headers say for whom a message is; what it says itself must not be another tenant.
        """
        reader = Caller(
            principal=f"service:{self.consumer}", tenant=item.caller.tenant, scopes=("read",)
        )
        tenant = str(getattr(message, "tenant", None) or item.caller.tenant)
        require("event.read", Resource(tenant=tenant), caller=reader)

    def _again(self, tx: Transaction, item: Delivery, error: Exception) -> str:
        """Send the message to the delay ladder, or give it up after the last attempt."""
        logger().warning(
            "message failed",
            exc_info=error,
            extra={"message_id": item.message_id, "attempt": item.attempt},
        )
        if item.attempt >= MAX_ATTEMPTS:
            return self._bury(tx, item, f"{type(error).__name__} after retries", _digest(error))
        delay = RETRY_DELAYS[item.attempt - 1]
        headers = {ATTEMPT_HEADER: item.attempt + 1, RETRY_HEADER: f"{delay}s"}
        self._forward(tx, item, RETRY, headers)
        self._record(tx, item, "retry")
        return "retry"

    def _bury(self, tx: Transaction, item: Delivery, reason: str, digest: str) -> str:
        """Send the message to the dead-letter exchange with the reason."""
        logger().error("message given up", extra={"message_id": item.message_id, "reason": reason})
        headers = {
            "dead-reason": reason[:512],
            "dead-consumer": self.consumer,
            "dead-attempts": item.attempt,
            "dead-stack-digest": digest,
        }
        self._forward(tx, item, DEAD, headers)
        self._record(tx, item, "dead")
        return "dead"

    def _record(self, tx: Transaction, item: Delivery, outcome: inbox.Outcome) -> None:
        if not inbox.decide(tx, self.consumer, item.message_id, item.attempt, outcome):
            raise _DecidedElsewhereError

    def _forward(
        self, tx: Transaction, item: Delivery, exchange: str, headers: Mapping[str, Any]
    ) -> None:
        # The broker's own x- headers describe the past and may hold types that JSON has not.
        kept = {name: value for name, value in item.headers.items() if not name.startswith("x-")}
        enqueue(
            tx,
            Message(
                exchange=exchange,
                routing_key=item.queue,
                body=item.body,
                message_id=item.message_id,
                content_type=item.content_type,
                headers={**kept, **headers},
            ),
        )


def read_deliveries(event: Mapping[str, Any]) -> Iterator[Delivery]:
    """Return the messages of an `aws:rmq` event, in order within each queue.

    A message without an id is known by the digest of its body.
    """
    for key, records in (event.get("rmqMessagesByQueue") or {}).items():
        queue = key.rpartition("::")[0] or key
        for record in records:
            properties = record.get("basicProperties") or {}
            body = base64.b64decode(record.get("data") or "")
            yield Delivery(
                queue=queue,
                message_id=properties.get("messageId") or hashlib.sha256(body).hexdigest(),
                body=body,
                content_type=properties.get("contentType") or "application/octet-stream",
                headers=_plain_headers(properties.get("headers")),
                redelivered=bool(record.get("redelivered")),
            )


def _plain_headers(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return AMQP headers with texts as texts: the mapping delivers them as `{"bytes": [...]}`."""
    plain: dict[str, Any] = {}
    for name, value in (headers or {}).items():
        if isinstance(value, Mapping) and "bytes" in value:
            octets = bytes(number & 0xFF for number in value["bytes"])
            plain[name] = octets.decode("utf-8", "replace")
        elif isinstance(value, str | int | float | bool):
            plain[name] = value
    return plain


def _batch_context(operation: str, deliveries: list[Delivery], context: Any) -> WorkContext:
    headers = deliveries[0].headers if deliveries else {}
    traceparent, correlation = headers.get("traceparent"), headers.get("correlationid")
    return WorkContext(
        operation=operation,
        correlation_id=continue_correlation(str(correlation) if correlation else None),
        trace=continue_trace(str(traceparent) if traceparent else None, None),
        deadline=deadline_of(context),
        caller=Caller(principal=operation),
    )


def _validation_reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"invalid message: {where}: {first['msg']}"


def _digest(error: BaseException) -> str:
    """Return a short name for the place an error came from, the same for every occurrence."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"{frame.filename}:{frame.name}:{frame.lineno}" for frame in frames)
    return hashlib.sha256(f"{type(error).__qualname__}\n{places}".encode()).hexdigest()[:16]
