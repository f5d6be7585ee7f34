"""Services of their own for tests that stop them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from datapunk.telemetry import logger

from tests.conftest import forget_connections
from tests.support.services import Broker, Instance


@pytest.fixture(scope="session")
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
def fragile(own_instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """Let functions use a new database and virtual host of the instance that may be stopped."""
    forget_connections()
    database, host = own_instance.borrow_database(), own_instance.new_virtual_host()
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("AMQP_URL", host)
    monkeypatch.setenv("REDIS_URL", own_instance.url("redis"))
    for name in ("DATABASE_CREDENTIALS", "REDIS_CREDENTIALS", "AMQP_CREDENTIALS"):
        monkeypatch.setenv(name, "")
    Broker(host).declare()
    yield own_instance
    forget_connections()
    own_instance.give_back_database(database)
    # The virtual host stays: RabbitMQ may fail to make another right after a restart and a deletion.


@pytest.fixture
def fragile_broker(fragile: Instance) -> Broker:
    """Return the virtual host that functions use."""
    import os

    return Broker(os.environ["AMQP_URL"])


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return where the logger writes."""
    stream = io.StringIO()
    handler = logger().handlers[0]
    before = handler.setStream(stream)  # type: ignore[attr-defined]
    yield stream
    handler.setStream(before)  # type: ignore[attr-defined]
