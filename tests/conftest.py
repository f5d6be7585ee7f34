"""Real services for all tests, started once; a database and a virtual host for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import datapunk.broker.connection as broker_connection
import datapunk.database.connection as database_connection
import pytest
import redis
from botocore.loaders import JSONFileLoader
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from datapunk import cache, limits, registry
from datapunk.aws import client_of
from datapunk.cache import reading
from datapunk.flags import provider as flag_provider
from datapunk.keyring.file import FileKeyRing
from datapunk.keyring.ring import KEY_BITS
from datapunk.mesh import breaker, calling
from datapunk.nexus import authentication
from datapunk.nexus import authority as authority_roots
from datapunk.nexus.keys import rotate
from datapunk.settings import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from moto import mock_aws

from tests.support.answers import Answers, listening
from tests.support.invoking import Invoker
from tests.support.routing import forget_routing
from tests.support.services import Broker, Instance

# Examples share a database, and the machine may be busy: neither says anything about the code.
hypothesis_settings.register_profile(
    "datapunk",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("datapunk")


def forget_connections() -> None:
    """Become an environment that was just started."""
    settings.cache_clear()
    database_connection.discard()
    broker_connection.reset()
    cache.forget()
    limits.forget()
    flag_provider.forget()
    authentication.forget()
    breaker.forget()
    calling.forget()
    registry.forget()
    reading.forget()
    forget_routing()
    authority_roots._root.cache_clear()


REMEMBERED = tuple(
    f"{kind}:".encode() for kind in ("rate", "breaker", "bulkhead", "registry", "cache", "route")
)


def forget_remembered(url: str) -> None:
    """Let nobody have sent a request, failed or registered, and nothing be cached: tests share tenants."""
    with redis.Redis.from_url(url) as server:
        keys = [key for key in server.scan_iter(count=1000) if key.startswith(REMEMBERED)]
        if keys:
            server.delete(*keys)


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Return PostgreSQL, Redis and RabbitMQ that no test may stop."""
    started = Instance(tmp_path_factory.mktemp("services"))
    try:
        started.up()
        started.prepare()
        yield started
    finally:
        started.down()


@pytest.fixture(scope="session")
def key_ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key ring with a key that signs."""
    path = tmp_path_factory.mktemp("keys") / "keyring"
    FileKeyRing(path).add(int(time.time()))
    return path


@pytest.fixture(scope="session")
def keys() -> tuple[RSAPrivateKey, ...]:
    """Return keys for a test's key rings, which take long to make."""
    return tuple(rsa.generate_private_key(65537, KEY_BITS) for _ in range(2))


@pytest.fixture(scope="session", autouse=True)
def _models_of_aws() -> Iterator[None]:
    """Read botocore's descriptions of AWS once, not for each of a thousand clients."""
    known: dict[str, Any] = {}
    read = JSONFileLoader.load_file

    def remembered(loader: JSONFileLoader, path: str) -> Any:
        if path not in known:
            known[path] = read(loader, path)
        return known[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", remembered)
        yield


@pytest.fixture
def environment(
    instance: Instance, key_ring: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Give functions the settings of the shared services; database and broker are added by others."""
    forget_connections()
    forget_remembered(instance.url("redis"))
    monkeypatch.setenv("KEY_RING", f"file:{key_ring}")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "datapunk-nexus-test")
    monkeypatch.setenv("REDIS_URL", instance.url("redis"))
    monkeypatch.setenv("FEATURE_FLAGS", "")
    for name in ("DATABASE_CREDENTIALS", "REDIS_CREDENTIALS", "AMQP_CREDENTIALS"):
        monkeypatch.setenv(name, "")
    yield
    forget_connections()


@pytest.fixture
def database(
    instance: Instance, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return the URL of a migrated database of the test's own, which functions use too."""
    url = instance.borrow_database()
    monkeypatch.setenv("DATABASE_URL", url)
    yield url
    forget_connections()
    instance.give_back_database(url)


@pytest.fixture
def geo_database(
    instance: Instance, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return the URL of a database as `database` does, of one that has PostGIS."""
    url = instance.new_database(instance.geo_template())
    monkeypatch.setenv("DATABASE_URL", url)
    yield url
    forget_connections()
    instance.drop_database(url)


@pytest.fixture
def broker(
    instance: Instance, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    """Return a virtual host of the test's own with the platform's topology, which functions use too."""
    url = instance.new_virtual_host()
    monkeypatch.setenv("AMQP_URL", url)
    yield Broker(url)
    forget_connections()
    instance.drop_virtual_host(url)


@pytest.fixture
def no_broker(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions find nobody where the broker should be."""
    monkeypatch.setenv("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F")


@pytest.fixture
def invoke() -> Invoker:
    """Return `invoke(operation, **changes)`, which runs the real handler."""
    return Invoker()


@pytest.fixture
def cloudformation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Return where custom resources can answer over HTTPS, and what they did answer."""
    with listening(tmp_path) as answers:
        monkeypatch.setenv("SSL_CERT_FILE", str(answers.certificate))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield answers


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return a bucket with versions, at AWS as moto plays it, which functions use too."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("STORAGE_BUCKET", "datapunk")
    settings.cache_clear()
    client_of.cache_clear()
    local = {"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1"]}}}
    with mock_aws(config=local):
        buckets = boto3.client("s3")
        buckets.create_bucket(Bucket="datapunk")
        buckets.put_bucket_versioning(
            Bucket="datapunk", VersioningConfiguration={"Status": "Enabled"}
        )
        yield "datapunk"
    settings.cache_clear()
    client_of.cache_clear()


@pytest.fixture
def authority(
    database: str,
    tmp_path: Path,
    keys: tuple[RSAPrivateKey, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give functions key rings of the test's own, with keys that sign."""
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'keyring'}")
    settings.cache_clear()
    made = iter(keys)
    with monkeypatch.context() as patch:
        patch.setattr(rsa, "generate_private_key", lambda *_: next(made))
        rotate()
        authority_roots.rotate_roots()
