"""The outbox: published with the change it belongs to, in order, at least once, by one at a time."""

from __future__ import annotations

import threading

import psycopg
import pytest
from datapunk import outbox
from datapunk.broker import Message
from datapunk.database import Transaction, transaction
from datapunk.errors import UnavailableError

from tests.support import trial
from tests.support.services import Broker

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def queue(broker: Broker) -> Broker:
    broker.declare(trial.SUBSCRIPTION)
    return broker


def _message(number: int, *, queue: str = trial.QUEUE) -> Message:
    return Message(
        exchange="service.commands",
        routing_key=queue,
        body=str(number).encode(),
        message_id=f"m-{number}",
        headers={"number": number},
    )


def _enqueue(*numbers: int) -> None:
    with transaction() as tx:
        for number in numbers:
            outbox.enqueue(tx, _message(number))


def _taken(broker: Broker) -> list[int]:
    return [int(body) for _, body in broker.take(trial.QUEUE)]


def test_messages_are_published_in_order_and_once(queue: Broker) -> None:
    # Given
    _enqueue(*range(20))
    # When
    published = [outbox.relay(), outbox.relay()]
    # Then
    assert published == [20, 0]
    taken = queue.take(trial.QUEUE)
    assert [int(body) for _, body in taken] == list(range(20))
    assert [properties.message_id for properties, _ in taken] == [f"m-{n}" for n in range(20)]
    assert taken[7][0].headers["number"] == 7
    assert outbox.waiting() == (0, 0.0)


def test_what_was_rolled_back_is_never_published(queue: Broker) -> None:
    # Given
    with pytest.raises(RuntimeError), transaction() as tx:  # noqa: PT012 -- the body is the subject
        outbox.enqueue(tx, _message(1))
        raise RuntimeError
    # When
    published = outbox.relay()
    # Then
    assert published == 0
    assert _taken(queue) == []


def test_a_crash_between_confirmation_and_deletion_publishes_again_under_the_same_id(
    queue: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a deletion that never comes about
    _enqueue(1)
    delete = Transaction.execute

    def crash(self: Transaction, statement: str, parameters: object = None) -> int:
        if "DELETE FROM platform.outbox" in str(statement):
            raise KeyboardInterrupt
        return delete(self, statement, parameters)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "execute", crash)
        with pytest.raises(KeyboardInterrupt):
            outbox.relay()
    # When
    outbox.relay()
    # Then
    assert [properties.message_id for properties, _ in queue.take(trial.QUEUE)] == ["m-1", "m-1"]


def test_two_relays_at_once_publish_each_message_once(queue: Broker, database: str) -> None:
    # Given one relay in the middle of its work
    _enqueue(1, 2, 3)
    with psycopg.connect(database) as other:
        other.execute("SELECT id FROM platform.outbox ORDER BY id LIMIT 2 FOR UPDATE")
        # When
        mine = outbox.relay()
    rest = outbox.relay()
    # Then
    assert (mine, rest) == (1, 2)
    assert sorted(_taken(queue)) == [1, 2, 3]


def test_what_was_confirmed_before_a_failure_stays_published(queue: Broker) -> None:
    # Given a message in the middle that no queue takes
    with transaction() as tx:
        for number, name in enumerate([trial.QUEUE, "no.such.queue", trial.QUEUE]):
            outbox.enqueue(tx, _message(number, queue=name))
    # When
    with pytest.raises(UnavailableError):
        outbox.relay()
    # Then
    assert _taken(queue) == [0]
    assert outbox.waiting()[0] == 2


def test_a_relay_leaves_room_for_writers(queue: Broker) -> None:
    # Given
    _enqueue(1)
    writer = threading.Thread(target=_write_elsewhere, daemon=True)
    with transaction() as tx:
        tx.all("SELECT id FROM platform.outbox FOR UPDATE")
        # When
        writer.start()
        writer.join(10)
        # Then
        assert not writer.is_alive()
    assert outbox.relay() == 2


def _write_elsewhere() -> None:
    from datapunk.settings import settings

    with psycopg.connect(settings().database()) as connection:
        connection.execute(
            "INSERT INTO platform.outbox (exchange, routing_key, message_id, content_type, body) "
            "VALUES ('service.commands', %s, 'm-2', 'text/plain', '2')",
            (trial.QUEUE,),
        )
