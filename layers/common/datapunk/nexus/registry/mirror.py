"""The mirror in AWS Cloud Map, for what finds services through AWS and not through this platform.

A change only says which service to look at: its instances there are brought to what the registry says now.
So changes may come twice, late or in any order.
"""

from __future__ import annotations

import re

from datapunk import registry
from datapunk.events import CloudEvent
from datapunk.identity import PUBLIC_TENANT
from datapunk.registry import PLATFORM, Instance, Kind, Status, cloud_map
from datapunk.settings import settings
from datapunk.telemetry import logger

_FOREIGN = re.compile(r"[^0-9a-zA-Z_-]")
_FIRST_HEALTH = "AWS_INIT_HEALTH_STATUS"
"""How an instance is until its health is set, which may be too early right after its registration."""
_LONGEST_NAME = 127
_LONGEST_ATTRIBUTE = 1_024


def mirror_event(event: CloudEvent) -> None:
    """Mirror the service that a change is about.

    What concerns the platform's own services is told in the tenant `public`, so there are two registries it
    may be about; both are looked at. Raises UnavailableError as `mirror_service` does.
    """
    tenant = str(event.extensions.get("tenant", PUBLIC_TENANT))
    places = (tenant, PLATFORM) if tenant == PUBLIC_TENANT else (tenant,)
    for place in places:
        mirror_service(place, event.subject or "")


def mirror_service(tenant: str, service: str) -> int:
    """Bring a service's instances in Cloud Map to what the registry says; return how many changed.

    Does nothing where there is no namespace. Raises UnavailableError when Redis or Cloud Map does not
    answer.
    """
    namespace = settings().cloud_map_namespace
    if not namespace:
        return 0
    found = [item for item in registry.instances(tenant, service)[0] if item.tenant == tenant]
    wanted = {_id(item): item for item in found}
    name = service_name(tenant, service)
    held = cloud_map.service_id(namespace, name, create=bool(wanted))
    if held is None:
        return 0
    there = cloud_map.list_instances(held)
    changed = 0
    for instance in there.keys() - wanted.keys():
        cloud_map.deregister_instance(held, instance)
        changed += 1
    for instance, item in wanted.items():
        attributes = _attributes(item)
        if _without_health(there.get(instance, {})) != attributes:
            healthy = "UNHEALTHY" if item.status is Status.CRITICAL else "HEALTHY"
            cloud_map.register_instance(held, instance, {**attributes, _FIRST_HEALTH: healthy})
            changed += 1
        cloud_map.set_health(held, instance, healthy=item.status is not Status.CRITICAL)
    logger().info("mirrored", extra={"mirrored_service": name, "changed": changed})
    return changed


def service_name(tenant: str, service: str) -> str:
    """Return what a service is called in Cloud Map: `lake`, or `billing.acme` where it is a tenant's."""
    own = _FOREIGN.sub("-", service)
    if tenant == PLATFORM:
        return own
    return f"{own}.{tenant}"[:_LONGEST_NAME]


def _id(item: Instance) -> str:
    return _FOREIGN.sub("-", item.id)[:64]


def _attributes(item: Instance) -> dict[str, str]:
    """Return what Cloud Map keeps of an instance."""
    attributes = {
        "kind": item.kind.value,
        "weight": str(item.document.weights.passing),
        "version": item.meta.get("version", ""),
        "tags": " ".join(item.tags),
    }
    if item.kind is Kind.LAMBDA:
        attributes["function"] = item.address
    else:
        attributes["AWS_INSTANCE_PORT"] = str(item.port)
        place = "AWS_INSTANCE_IPV4" if _is_ipv4(item.address) else "address"
        attributes[place] = item.address
    return {name: value[:_LONGEST_ATTRIBUTE] for name, value in attributes.items() if value}


def _without_health(attributes: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in attributes.items() if k != _FIRST_HEALTH}


def _is_ipv4(address: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(address).version == 4  # noqa: PLR2004 -- IPv4
    except ValueError:
        return False
