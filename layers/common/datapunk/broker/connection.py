"""The publishing connection of this environment: opened on first use, checked on use, confirmed.

Heartbeats are short so that a connection that died while the environment was frozen, or a broker that
hangs, is noticed within seconds of use; the broker for its part closes frozen connections quickly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, UnroutableError

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import settings

DEPENDENCY = "rabbitmq"
CONNECT_TIMEOUT = 2.0
_HEARTBEAT = 5
_MAX_AGE = 900.0
_PAUSE_AFTER_FAILURE = 2.0
_FAILURES = (AMQPError, AMQPConnectorException, OSError)
"""What the driver raises when the broker is gone; a handshake without an answer has a class apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A durable message. `headers` become AMQP headers."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    content_type: str = "application/json"
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    connection: Any
    channel: Any
    opened: float


class _State:
    """What this environment holds: a connection, or until when it will not try for one."""

    def __init__(self) -> None:
        self.held: _Held | None = None
        self.not_before = 0.0


_state = _State()


def parameters(url: str) -> Any:
    """Return pika's parameters for an AMQP URL, with our time limits.

    Raises ConfigurationError when it is not such a URL.
    """
    try:
        found = pika.URLParameters(url)
    except (ValueError, TypeError, IndexError) as error:
        raise ConfigurationError("AMQP_URL is not an AMQP URL.") from error
    found.heartbeat = _HEARTBEAT
    found.socket_timeout = CONNECT_TIMEOUT
    found.stack_timeout = CONNECT_TIMEOUT
    found.blocked_connection_timeout = CONNECT_TIMEOUT
    found.connection_attempts = 1
    return found


def publish(messages: Sequence[Message], *, published: Callable[[int], None] | None = None) -> None:
    """Publish durable messages in order; each is confirmed by the broker before the next is sent.

    `published` is called with the index of each confirmed message. A connection found dead at the first
    message is replaced once. Raises UnavailableError when the broker does not answer, refuses a message
    or has no queue for it.
    """
    sent = 0
    for last_try in (False, True):
        try:
            with _failures():
                channel = _channel()
                while sent < len(messages):
                    _send(channel, messages[sent])
                    if published is not None:
                        published(sent)
                    sent += 1
            return
        except UnavailableError:
            if last_try or sent or time.monotonic() < _state.not_before:
                raise


def check_broker() -> None:
    """Log in to the broker and leave. Raises UnavailableError when that takes more than 2 s.

    A connection of its own: the driver's are not for two threads, and one to a broker that hangs would hold
    whoever asks for as long as two heartbeats.
    """
    try:
        pika.BlockingConnection(parameters(settings().amqp())).close()
    except _FAILURES as error:
        raise UnavailableError(DEPENDENCY) from error


@contextmanager
def channel() -> Iterator[Any]:
    """Open a channel of its own on the connection, for declarations."""
    with _failures():
        _channel()
        if _state.held is None:  # pragma: no cover -- _channel opened it
            raise UnavailableError(DEPENDENCY)
        opened = _state.held.connection.channel()
        try:
            yield opened
        finally:
            if opened.is_open:
                opened.close()


def discard() -> None:
    """Close and forget the connection; the next use opens another."""
    held, _state.held = _state.held, None
    if held is not None:
        try:
            held.connection.close()
        except _FAILURES:  # it is gone either way
            return


def reset() -> None:
    """Forget everything, also a pause after a failure."""
    discard()
    _state.not_before = 0.0


def _channel() -> Any:
    """Return the open channel in confirm mode."""
    now = time.monotonic()
    held = _state.held
    if held is not None:
        if now - held.opened < _MAX_AGE and _alive(held):
            return held.channel
        discard()
    if now < _state.not_before:
        raise UnavailableError(DEPENDENCY)
    try:
        connection = pika.BlockingConnection(parameters(settings().amqp()))
    except _FAILURES:
        _state.not_before = time.monotonic() + _PAUSE_AFTER_FAILURE
        raise
    opened = connection.channel()
    opened.confirm_delivery()
    _state.held = _Held(connection, opened, now)
    return opened


def _alive(held: _Held) -> bool:
    """Read what has arrived meanwhile, such as the broker's farewell to a frozen environment."""
    try:
        held.connection.process_data_events(0)
    except _FAILURES:
        return False
    return bool(held.connection.is_open and held.channel.is_open)


def _send(opened: Any, message: Message) -> None:
    properties = pika.BasicProperties(
        message_id=message.message_id,
        content_type=message.content_type,
        headers=dict(message.headers) or None,
        delivery_mode=2,
        timestamp=int(time.time()),
        app_id="datapunk",
    )
    opened.basic_publish(
        message.exchange, message.routing_key, message.body, properties, mandatory=True
    )


@contextmanager
def _failures() -> Iterator[None]:
    """Raise ours in place of the driver's errors, and drop a connection that failed."""
    try:
        yield
    except UnroutableError as error:
        raise UnavailableError(
            DEPENDENCY, "No queue takes this message: declare the topology."
        ) from error
    except NackError as error:
        raise UnavailableError(DEPENDENCY, "The broker did not take the message.") from error
    except _FAILURES as error:
        discard()
        raise UnavailableError(DEPENDENCY) from error
