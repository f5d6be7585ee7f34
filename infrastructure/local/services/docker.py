"""The three services in containers, by `infrastructure/local/compose.yaml`, for `DOCKER=1`.

Each instance is a compose project of its own, so its containers, volumes and ports never meet
those of another clone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.services.postgres import SUPERUSER
from infrastructure.local.services.provision import DATABASE, ROLE, admits_superuser, provision
from infrastructure.local.services.rabbitmq import LIKENESS, PLUGINS, USER
from infrastructure.local.services.readiness import (
    amqp_ready,
    management_ready,
    postgres_ready,
    redis_ready,
)
from infrastructure.local.services.service import (
    Service,
    ServiceError,
    ServiceState,
    ServiceStatus,
    wait_until_ready,
)
from infrastructure.local.state import State

COMPOSE_FILE = Path(__file__).parents[1] / "compose.yaml"
PULL_SECONDS = 1800.0
COMMAND_SECONDS = 120.0


class DockerCompose:
    """The compose project of one instance, and the variables its file needs."""

    def __init__(self, paths: Paths) -> None:
        self.state = State(paths)
        digest = hashlib.sha256(str(paths.state.resolve()).encode()).hexdigest()[:8]
        self._project = f"datapunk-{digest}"

    def variables(self) -> dict[str, str]:
        """Return what compose.yaml reads from its environment."""
        ports = {
            "DATAPUNK_POSTGRES_PORT": "postgres",
            "DATAPUNK_REDIS_PORT": "redis",
            "DATAPUNK_AMQP_PORT": "amqp",
            "DATAPUNK_AMQP_MANAGEMENT_PORT": "amqp_management",
        }
        return {
            **{variable: str(self.state.port(name) or 0) for variable, name in ports.items()},
            "DATAPUNK_POSTGRES_PASSWORD": self.state.password(f"postgres.{SUPERUSER}"),
            "DATAPUNK_REDIS_PASSWORD": self.state.password("redis"),
            "DATAPUNK_RABBITMQ_USER": USER,
            "DATAPUNK_RABBITMQ_PASSWORD": self.state.password("rabbitmq"),
            "DATAPUNK_RABBITMQ_CONFIGURATION": str(LIKENESS),
            "DATAPUNK_RABBITMQ_PLUGINS": str(PLUGINS),
        }

    def run(self, *arguments: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run `docker compose` with `arguments` and return what it prints.

        Raises ServiceError when Docker is missing or the command fails.
        """
        docker = shutil.which("docker")
        if docker is None:
            raise ServiceError("DOCKER=1 needs Docker with its compose plugin: install it first")
        answer = subprocess.run(
            [docker, "compose", "-p", self._project, "-f", str(COMPOSE_FILE), *arguments],
            env={**os.environ, **self.variables()},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if answer.returncode:
            raise ServiceError(
                f"`docker compose {' '.join(arguments)}` failed: {answer.stderr.strip()}"
            )
        return answer.stdout


class DockerService:
    """One service of the compose project."""

    def __init__(
        self,
        name: str,
        compose: DockerCompose,
        *,
        ports: tuple[str, ...],
        urls: Callable[[Mapping[str, int]], dict[str, str]],
        checks: Mapping[str, Callable[[str], bool]],
    ) -> None:
        self.name = name
        self._compose = compose
        self._ports = ports
        self._urls = urls
        self._checks = checks

    def endpoints(self) -> dict[str, str]:
        """Return its URLs."""
        return self._urls({name: self._compose.state.port(name) or 0 for name in self._ports})

    def start(self) -> None:
        """Create and start its container unless it runs; the first time its image is fetched."""
        if self._running():
            return
        for name in self._ports:
            self._compose.state.claim_port(name)
        self._compose.run("up", "--detach", "--no-deps", self.name, timeout=PULL_SECONDS)

    def ready(self) -> bool:
        """Tell whether it answers at all its URLs."""
        return all(self._checks[name](url) for name, url in self.endpoints().items())

    def wait_ready(self, timeout: float) -> None:
        """Wait until it answers."""
        wait_until_ready(self.name, self.ready, None, timeout)

    def stop(self) -> None:
        """Stop its container and keep its data."""
        self._compose.run("stop", self.name)

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        endpoint = f"{LOOPBACK}:{self._compose.state.port(self._ports[0])}"
        if self.ready():
            return ServiceStatus(self.name, ServiceState.READY, "container", endpoint)
        state = ServiceState.STARTING if self._running() else ServiceState.DOWN
        return ServiceStatus(self.name, state, "container", endpoint)

    def _running(self) -> bool:
        return bool(self._compose.run("ps", "--quiet", "--status", "running", self.name).strip())


class DockerPostgres(DockerService):
    """PostgreSQL in a container, set up as the private one is."""

    def wait_ready(self, timeout: float) -> None:
        """Wait for the server, make sure of roles, database and extensions."""
        state = self._compose.state
        secret, port = state.password(f"postgres.{SUPERUSER}"), state.port("postgres")
        url = f"postgresql://{SUPERUSER}:{secret}@{LOOPBACK}:{port}/postgres"
        wait_until_ready(self.name, lambda: admits_superuser(url), None, timeout)
        provision(url, password=state.password(f"postgres.{ROLE}"), extensions=("vector",))
        super().wait_ready(timeout)


def docker_services(compose: DockerCompose) -> dict[str, Service]:
    """Return the services of a compose project by name."""
    state = compose.state

    def database(ports: Mapping[str, int]) -> dict[str, str]:
        secret = state.password(f"postgres.{ROLE}")
        return {
            "database": f"postgresql://{ROLE}:{secret}@{LOOPBACK}:{ports['postgres']}/{DATABASE}"
        }

    def cache(ports: Mapping[str, int]) -> dict[str, str]:
        return {"redis": f"redis://:{state.password('redis')}@{LOOPBACK}:{ports['redis']}/0"}

    def broker(ports: Mapping[str, int]) -> dict[str, str]:
        account = f"{USER}:{state.password('rabbitmq')}@{LOOPBACK}"
        return {
            "amqp": f"amqp://{account}:{ports['amqp']}/%2F",
            "amqp_management": f"http://{account}:{ports['amqp_management']}",
        }

    return {
        "postgres": DockerPostgres(
            "postgres",
            compose,
            ports=("postgres",),
            urls=database,
            checks={"database": postgres_ready},
        ),
        "redis": DockerService(
            "redis", compose, ports=("redis",), urls=cache, checks={"redis": redis_ready}
        ),
        "rabbitmq": DockerService(
            "rabbitmq",
            compose,
            ports=("amqp", "amqp_management"),
            urls=broker,
            checks={"amqp": amqp_ready, "amqp_management": management_ready},
        ),
    }
