"""PostgreSQL, Redis and RabbitMQ for one machine: private, in containers, or given by their URLs.

`DATABASE_URL`, `REDIS_URL`, `AMQP_URL` (with `AMQP_MANAGEMENT_URL`) name servers that are used as
they are. `DOCKER=1` runs the others by the compose file, else they run from private programs.
A server that already runs on the machine is never touched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from infrastructure.local.paths import Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services.docker import DockerCompose, docker_services
from infrastructure.local.services.external import ExternalService
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.programs import find_programs, install_prefix
from infrastructure.local.services.rabbitmq import RabbitMQ
from infrastructure.local.services.readiness import (
    amqp_ready,
    management_ready,
    postgres_ready,
    redis_ready,
)
from infrastructure.local.services.redis import Redis
from infrastructure.local.services.service import Service, ServiceError

START_SECONDS = 90.0

EXTERNAL = {
    "postgres": {"DATABASE_URL": "database"},
    "redis": {"REDIS_URL": "redis"},
    "rabbitmq": {"AMQP_URL": "amqp", "AMQP_MANAGEMENT_URL": "amqp_management"},
}
"""Variables that name servers of others, and the endpoints they give. The first one decides."""

CHECKS = {
    "database": postgres_ready,
    "redis": redis_ready,
    "amqp": amqp_ready,
    "amqp_management": management_ready,
}


def local_services(paths: Paths, environment: Mapping[str, str]) -> list[Service]:
    """Return PostgreSQL, Redis and RabbitMQ as `environment` wants them. Starts nothing."""
    own: dict[str, Service]
    if environment.get("DOCKER") == "1":
        own = docker_services(DockerCompose(paths))
    else:
        own = {
            "postgres": Postgres(paths, environment),
            "redis": Redis(paths, environment),
            "rabbitmq": RabbitMQ(paths, environment),
        }
    return [_external(name, environment) or service for name, service in own.items()]


def _external(name: str, environment: Mapping[str, str]) -> ExternalService | None:
    variables = EXTERNAL[name]
    first = next(iter(variables))
    if not environment.get(first):
        return None
    urls = {
        endpoint: environment[variable]
        for variable, endpoint in variables.items()
        if environment.get(variable)
    }
    return ExternalService(name, first, urls, CHECKS)


def install_programs(
    paths: Paths, progress: Progress, environment: Mapping[str, str] | None = None
) -> None:
    """Install the server programs that `environment` needs, once for all instances of a project.

    Nothing is installed for external servers or containers. On macOS the programs must be there;
    ServiceError names the command that installs them.
    """
    environment = os.environ if environment is None else environment
    given = all(environment.get(next(iter(names))) for names in EXTERNAL.values())
    if given or environment.get("DOCKER") == "1":
        return
    if find_programs(paths, environment) is None and sys.platform == "linux":
        install_prefix(paths, progress, environment)


def start_services(
    services: Sequence[Service], progress: Progress, *, timeout: float = START_SECONDS
) -> None:
    """Start all at once and wait until each is ready; `timeout` is in seconds, for each.

    Raises ServiceError with what every failed one says.
    """

    def bring_up(service: Service) -> None:
        with progress.step(service.name) as step:
            service.start()
            step.update(detail="starting")
            service.wait_ready(timeout)
            step.update(detail=service.status().endpoint)

    _for_each(services, bring_up)


def stop_services(services: Sequence[Service], progress: Progress) -> None:
    """Stop all at once. Raises ServiceError with what every failed one says."""

    def bring_down(service: Service) -> None:
        with progress.step(f"{service.name} stops"):
            service.stop()

    _for_each(services, bring_down)


def _for_each(services: Sequence[Service], work: Callable[[Service], None]) -> None:
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        outcomes = [pool.submit(work, service) for service in services]
    errors = [error for outcome in outcomes if (error := outcome.exception()) is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ServiceError("\n".join(str(error) for error in errors)) from errors[0]


__all__ = [
    "Service",
    "ServiceError",
    "install_programs",
    "local_services",
    "start_services",
    "stop_services",
]
