"""The whole platform on one machine: services, control plane, stack and data plane, in that order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from infrastructure.local.accounts import ACCOUNTS, wanted_client, wanted_user
from infrastructure.local.control_plane.ministack import control_plane
from infrastructure.local.control_plane.stack import deploy
from infrastructure.local.control_plane.translation import local_parameters
from infrastructure.local.data_plane_service import DataPlaneService
from infrastructure.local.parallel import for_each
from infrastructure.local.paths import Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import install_programs, local_services
from infrastructure.local.services.service import Service, ServiceState, ServiceStatus
from infrastructure.local.state import State, write_json

STACK = "datapunk-local"
SERVICE_SECONDS = 90.0
AT_DEPLOYMENT = (
    "nexus-migrate",
    "nexus-rotate_keys",
    "nexus-rotate_authority",
    "stream-declare_topology",
    "nexus-register_services",
)
"""Functions that a deployment runs once, in this order."""


class Platform:
    """One instance of the platform, kept in `paths.state`."""

    def __init__(self, paths: Paths, environment: Mapping[str, str] | None = None) -> None:
        self.paths = paths
        self.environment = dict(os.environ if environment is None else environment)
        self.state = State(paths)
        self.services = local_services(paths, self.environment)
        self.aws = control_plane(paths, self.state, self.environment)
        self.data_plane = DataPlaneService(paths, self.state, STACK)

    def up(self, progress: Progress) -> None:
        """Start what does not run, deploy what has changed, and wait until all of it answers.

        Raises ServiceError, ProcessError, DeploymentError or BusyError saying what to do.
        """
        self.paths.create()
        if self.state.is_new:
            # The folder may have been deleted while the platform ran: what still runs then holds files
            # that are gone and ports that nobody remembers.
            for_each([self.data_plane, self.aws, *self.services], lambda service: service.stop())
        install_programs(self.paths, progress, self.environment)
        self._start_all([*self.services, self.aws], progress)
        with progress.step("stack") as step:
            changed = self._deploy()
            step.update(detail=f"{STACK} {'deployed' if changed else 'unchanged'}")
        with progress.step("api") as step:
            wanted = self.data_plane.endpoints()["api"]
            self._start_data_plane()
            if self.data_plane.endpoints()["api"] != wanted:
                # Another program took the port between the deployment, which names it, and the start.
                self._deploy()
                self._start_data_plane()
            step.update(detail=self.data_plane.endpoints()["api"])
        for function in AT_DEPLOYMENT:
            with progress.step(function.replace("-", ".", 1)) as step:
                outcome = self.data_plane.invoke(f"{STACK}-{function}")
                step.update(detail=_summary(outcome))
        self.data_plane.follow_trust()
        with progress.step("users") as step:
            self._ensure_accounts()
            step.update(detail=", ".join(ACCOUNTS))
        write_json(self.paths.endpoints, dict(self.endpoints()))

    def down(self, progress: Progress) -> None:
        """Stop everything, callers before what they call; the data stays."""
        self.paths.endpoints.unlink(missing_ok=True)

        def stop(service: Service) -> None:
            with progress.step(f"stop {service.name}"):
                service.stop()

        try:
            stop(self.data_plane)
        finally:
            for_each([self.aws, *self.services], stop)

    def status(self) -> list[ServiceStatus]:
        """Return how each part is, asked at the same time."""
        parts: list[Service] = [*self.services, self.aws, self.data_plane]
        return for_each(parts, lambda service: service.status())

    def running(self) -> bool:
        """Tell whether every part answers."""
        return all(item.state is ServiceState.READY for item in self.status())

    def endpoints(self) -> dict[str, str]:
        """Return the URL of everything that runs, credentials included, the API first."""
        found = dict(self.data_plane.endpoints())
        for service in (self.aws, *self.services):
            found.update(service.endpoints())
        return found

    def _start_all(self, services: Sequence[Service], progress: Progress) -> None:
        def start(service: Service) -> None:
            with progress.step(service.name) as step:
                service.start()
                service.wait_ready(SERVICE_SECONDS)
                step.update(detail="ready")

        for_each(services, start)

    def _deploy(self) -> bool:
        self.data_plane.choose_ports()
        if not self.paths.flags.exists():
            self.paths.flags.write_text("{}\n", encoding="utf-8")
        urls = self.endpoints()
        parameters = local_parameters(
            database_url=urls["database"],
            redis_url=urls["redis"],
            amqp_url=urls["amqp"],
            issuer=urls["api"],
            key_ring=self.paths.key_ring,
            flags=self.paths.flags,
        )
        template = self.paths.run / "template.json"
        outcome = deploy(
            urls["aws"], STACK, template, parameters, self.paths.project, self.paths.translations
        )
        if outcome.changed:
            self.aws.save(SERVICE_SECONDS)
        return outcome.changed

    def _ensure_accounts(self) -> None:
        self.data_plane.invoke(f"{STACK}-nexus-ensure_client", wanted_client())
        for account in ACCOUNTS.values():
            wanted = wanted_user(self.state, account)
            self.data_plane.invoke(f"{STACK}-nexus-ensure_user", wanted)

    def _start_data_plane(self) -> None:
        urls = self.endpoints()
        self.data_plane.configure(
            aws_endpoint=urls["aws"],
            amqp_url=urls["amqp"],
            template=self.paths.run / "template.json",
        )
        self.data_plane.start()
        self.data_plane.wait_ready(SERVICE_SECONDS)
        # What runs already may have read the catalog before this deployment.
        self.data_plane.reload()


def _summary(outcome: Mapping[str, Any]) -> str:
    """Return a function's outcome in a few words: `3 applied`, `5 queues`."""
    parts = [f"{len(value)} {name}" for name, value in outcome.items() if isinstance(value, list)]
    return ", ".join(parts)
