"""The Redis client: one per environment, with our errors."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from datapunk import cache
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import settings

from tests.support.services import Instance

URL = "REDIS_URL"


@pytest.fixture(autouse=True)
def fresh(environment: None) -> Iterator[None]:
    cache.forget()
    yield
    cache.forget()


def _use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(URL, url)
    settings.cache_clear()


def test_there_is_one_client_and_texts_are_texts() -> None:
    # Given
    client = cache.client()
    # When
    client.set("test:cache:{1}", "grün", ex=60)
    # Then
    assert cache.client() is client
    assert client.get("test:cache:{1}") == "grün"
    cache.check_cache()


def test_a_new_address_has_a_client_of_its_own(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    first = cache.client()
    # When
    _use(monkeypatch, instance.url("redis").removesuffix("/0") + "/1")
    # Then
    assert cache.client() is not first
    cache.check_cache()


def test_a_connection_that_died_is_replaced(instance: Instance) -> None:
    # Given a connection the server closes while it is idle
    client = cache.client()
    number = client.client_id()
    with cache.translated():
        other = type(client).from_url(instance.url("redis"))
        other.client_kill_filter(_id=str(number))
        other.close()
    # When / Then
    cache.check_cache()
    assert cache.client() is client


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    _use(monkeypatch, "redis://127.0.0.1:1/0")
    # When
    with pytest.raises(UnavailableError) as raised:
        cache.check_cache()
    # Then
    assert raised.value.dependency == "redis"


def test_a_wrong_password_is_unavailable_and_not_shown(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    _use(monkeypatch, f"redis://:wrong-password@127.0.0.1:{urlsplit(instance.url('redis')).port}/0")
    # When
    with pytest.raises(UnavailableError) as raised:
        cache.client()
    # Then
    assert "wrong-password" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense"])
def test_an_address_of_something_else_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    # Given
    _use(monkeypatch, url)
    # When / Then
    with pytest.raises(ConfigurationError):
        cache.client()
