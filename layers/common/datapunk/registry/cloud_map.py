"""AWS Cloud Map: the only place that speaks to it.

Custom health is ours to push, and Cloud Map takes it for services made for it. Its operations are
asynchronous; what was asked for is seen a little later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from datapunk.errors import UnavailableError

DEPENDENCY = "cloud map"
_NOT_FOUND = frozenset({"InstanceNotFound", "CustomHealthNotFound"})


@cache
def client() -> Any:
    """Return this environment's client, made on first use."""
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    return boto3.client("servicediscovery", config=limits)


def service_id(namespace: str, name: str, *, create: bool) -> str | None:
    """Return the id of a service in a namespace; None where there is none and none is to be made."""
    filters = [{"Name": "NAMESPACE_ID", "Values": [namespace], "Condition": "EQ"}]
    with _translated():
        pages = client().get_paginator("list_services").paginate(Filters=filters)
        for page in pages:
            for service in page["Services"]:
                if service["Name"] == name:
                    return str(service["Id"])
        if not create:
            return None
        try:
            made = client().create_service(
                Name=name,
                NamespaceId=namespace,
                CreatorRequestId=f"datapunk-{name}",
                HealthCheckCustomConfig={"FailureThreshold": 1},
            )
        except client().exceptions.ServiceAlreadyExists as error:
            # Somebody else has made it meanwhile, and Cloud Map says which.
            return str(error.response["ServiceId"])
        return str(made["Service"]["Id"])


def list_instances(service: str) -> dict[str, dict[str, str]]:
    """Return the attributes of a service's instances by their ids."""
    with _translated():
        pages = client().get_paginator("list_instances").paginate(ServiceId=service)
        return {item["Id"]: item["Attributes"] for page in pages for item in page["Instances"]}


def register_instance(service: str, instance: str, attributes: Mapping[str, str]) -> None:
    """Register an instance, or replace its attributes."""
    with _translated():
        client().register_instance(
            ServiceId=service, InstanceId=instance, Attributes=dict(attributes)
        )


def deregister_instance(service: str, instance: str) -> None:
    """Remove an instance; one that is not there is removed already."""
    with _translated(gone_is_fine=True):
        client().deregister_instance(ServiceId=service, InstanceId=instance)


def set_health(service: str, instance: str, *, healthy: bool) -> None:
    """Say how an instance is. One that Cloud Map does not know yet is told with the next change."""
    with _translated(gone_is_fine=True):
        client().update_instance_custom_health_status(
            ServiceId=service,
            InstanceId=instance,
            Status="HEALTHY" if healthy else "UNHEALTHY",
        )


@contextmanager
def _translated(*, gone_is_fine: bool = False) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if gone_is_fine and code in _NOT_FOUND:
            return
        raise UnavailableError(DEPENDENCY, f"AWS Cloud Map refuses: {code}.") from error
    except BotoCoreError as error:
        raise UnavailableError(DEPENDENCY) from error
