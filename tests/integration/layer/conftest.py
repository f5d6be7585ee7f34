"""Services of their own for tests that stop them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from datapunk.cache.namespaces import NAMESPACES
from datapunk.telemetry import logger

from tests.conftest import forget_connections, forget_remembered
from tests.support.notes import NOTES, TABLE
from tests.support.services import Broker, Instance


@pytest.fixture(scope="package")
def own_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Return an instance whose services a test may stop, when it starts them again."""
    started = Instance(tmp_path_factory.mktemp("fragile"))
    try:
        started.up()
        started.prepare()
        yield started
    finally:
        started.down()


@pytest.fixture
def fragile(
    own_instance: Instance, key_ring: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Instance]:
    """Let functions use a new database and virtual host of the instance that may be stopped."""
    forget_connections()
    forget_remembered(own_instance.url("redis"))
    database, host = own_instance.borrow_database(), own_instance.new_virtual_host()
    monkeypatch.setenv("KEY_RING", f"file:{key_ring}")
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("AMQP_URL", host)
    monkeypatch.setenv("REDIS_URL", own_instance.url("redis"))
    for name in ("DATABASE_CREDENTIALS", "REDIS_CREDENTIALS", "AMQP_CREDENTIALS"):
        monkeypatch.setenv(name, "")
    yield own_instance
    forget_connections()
    own_instance.give_back_database(database)
    # The virtual host stays: RabbitMQ may fail to make another right after a restart and a deletion.


@pytest.fixture
def fragile_broker(fragile: Instance) -> Broker:
    """Return the virtual host that functions use."""
    return Broker(os.environ["AMQP_URL"])


@pytest.fixture
def notes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let notes be read and written through the cache."""
    _add_notes(database, monkeypatch)


@pytest.fixture
def fragile_notes(fragile: Instance, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """Let notes be cached where services may be stopped."""
    _add_notes(os.environ["DATABASE_URL"], monkeypatch)
    return fragile


def _add_notes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLE)
    monkeypatch.setitem(NAMESPACES, NOTES.name, NOTES)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return where the logger writes."""
    stream = io.StringIO()
    handler = logger().handlers[0]
    before = handler.setStream(stream)  # type: ignore[attr-defined]
    yield stream
    handler.setStream(before)  # type: ignore[attr-defined]
