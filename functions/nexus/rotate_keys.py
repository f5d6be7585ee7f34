"""Every day, and at deployment: make the next signing keys when they are due, forget what has expired."""

from typing import Any

from datapunk.database import transaction
from datapunk.deployment import deployment_function
from datapunk.identity import SYSTEM
from datapunk.nexus.certificates import purge_certificates
from datapunk.nexus.keys import rotate
from datapunk.nexus.oauth.grants import purge_grants
from datapunk.nexus.revocations import purge
from datapunk.schedule import scheduled_function


@scheduled_function("nexus.rotate_keys")
def run_daily(token: int) -> dict[str, Any]:  # noqa: ARG001 -- the key ring fences by itself
    """Name the keys that were added and removed; count the grants and revocations forgotten."""
    outcome = rotate()
    with transaction(SYSTEM) as tx:
        return {**outcome, "forgotten": purge_grants(tx) + purge(tx) + purge_certificates(tx)}


@deployment_function("nexus.rotate_keys")
def run_at_deployment() -> dict[str, Any]:
    """See that there is a key to sign tokens with."""
    return rotate()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer CloudFormation where it waits for an answer; run as a schedule otherwise."""
    edge = run_at_deployment if "ResponseURL" in event else run_daily
    return edge(event, context)
