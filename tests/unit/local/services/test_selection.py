"""Which service stands behind each name: private, given by a URL, or a container."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infrastructure.local.paths import Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import install_programs, local_services
from infrastructure.local.services.docker import COMPOSE_FILE, DockerCompose, DockerService
from infrastructure.local.services.external import ExternalService
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.rabbitmq import RabbitMQ
from infrastructure.local.services.redis import Redis
from infrastructure.local.services.service import ServiceError, ServiceState

URLS = {
    "DATABASE_URL": "postgresql://user:secret@127.0.0.1:9/db",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "AMQP_URL": "amqp://user:secret@127.0.0.1:9/%2F",
    "AMQP_MANAGEMENT_URL": "http://user:secret@127.0.0.1:9",
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", programs=tmp_path / "programs")


def test_private_services_are_the_default(paths: Paths) -> None:
    # When
    services = local_services(paths, {})
    # Then
    assert [type(service) for service in services] == [Postgres, Redis, RabbitMQ]
    assert [service.name for service in services] == ["postgres", "redis", "rabbitmq"]
    assert {service.status().state for service in services} == {ServiceState.DOWN}


def test_a_given_url_makes_the_service_external(paths: Paths) -> None:
    # When
    services = local_services(paths, {"REDIS_URL": URLS["REDIS_URL"]})
    # Then
    assert [type(service) for service in services] == [Postgres, ExternalService, RabbitMQ]
    assert services[1].endpoints() == {"redis": URLS["REDIS_URL"]}


def test_external_services_are_checked_but_never_started(paths: Paths) -> None:
    # Given
    services = local_services(paths, URLS)
    # When
    install_programs(paths, Progress(), URLS)
    for service in services:
        service.start()
        service.stop()
    # Then
    assert not paths.programs.exists()
    assert not paths.state.exists()
    for service in services:
        status = service.status()
        assert status.state is ServiceState.DOWN
        assert status.endpoint == "127.0.0.1:9"
        with pytest.raises(ServiceError, match=f"{service.name} did not get ready"):
            service.wait_ready(0.1)
    assert services[2].endpoints() == {
        "amqp": URLS["AMQP_URL"],
        "amqp_management": URLS["AMQP_MANAGEMENT_URL"],
    }


def test_docker_runs_what_is_not_given(paths: Paths) -> None:
    # When
    services = local_services(paths, {"DOCKER": "1", "REDIS_URL": URLS["REDIS_URL"]})
    # Then
    assert isinstance(services[0], DockerService)
    assert isinstance(services[1], ExternalService)
    assert isinstance(services[2], DockerService)
    assert set(services[2].endpoints()) == {"amqp", "amqp_management"}


def test_the_compose_file_publishes_on_loopback_only_and_uses_the_launchers_variables(
    paths: Paths,
) -> None:
    # Given
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    compose = yaml.safe_load(text)
    # When
    published = [port for service in compose["services"].values() for port in service["ports"]]
    used = {part.partition(":")[0].partition("}")[0] for part in text.split("${")[1:]}
    # Then
    assert all(port.startswith("127.0.0.1:${") for port in published)
    assert used == set(DockerCompose(paths).variables())
    assert all("healthcheck" in service for service in compose["services"].values())
