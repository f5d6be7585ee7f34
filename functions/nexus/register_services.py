"""Every minute, and at deployment: renew the registry's entries of the platform's own services."""

from typing import Any

from datapunk.deployment import deployment_function
from datapunk.nexus.registry.deployed import register_deployed
from datapunk.schedule import scheduled_function


@scheduled_function("nexus.register_services")
def run_every_minute(token: int) -> dict[str, Any]:  # noqa: ARG001 -- renewed twice is renewed once
    """Name the services that are found for another three minutes."""
    return {"services": register_deployed()}


@deployment_function("nexus.register_services")
def run_at_deployment() -> dict[str, Any]:
    """Make the services of this deployment known."""
    return {"services": register_deployed()}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run as a schedule where it is one; at a deployment otherwise."""
    edge = run_every_minute if event.get("source") == "aws.events" else run_at_deployment
    return edge(event, context)
