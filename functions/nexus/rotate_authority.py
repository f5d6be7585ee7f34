"""Every day, at deployment, by hand: make the next root when it is due, give the gateway the trust bundle."""

from typing import Any

from datapunk.deployment import deployment_function, operator_function
from datapunk.nexus.authority import AuthorityRotation, RotatedAuthority
from datapunk.nexus.authority import rotate_authority as rotate


@operator_function("nexus.rotate_authority")
def run_as_wanted(wanted: AuthorityRotation) -> RotatedAuthority:
    """Rotate; two runs at once do no harm, so there is no lease."""
    return rotate(wanted)


@deployment_function("nexus.rotate_authority")
def run_at_deployment() -> dict[str, Any]:
    """See that a root signs, and that the gateway finds it where its domain looks."""
    return rotate(AuthorityRotation()).model_dump(mode="json")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer CloudFormation where it waits for an answer; do what the payload wants otherwise."""
    edge = run_at_deployment if "ResponseURL" in event else run_as_wanted
    return edge(event, context)
