"""What is registered, in the shapes that Consul's clients read.

There is one node and one datacenter, both called `datapunk`: instances are not of machines here. Answers of a
blocking query come with the index they were read at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datapunk import __version__
from datapunk.registry import Instance, Status
from datapunk.registry.model import CheckState

NODE = "datapunk"
NODE_ID = "00000000-0000-4000-8000-000000000000"
LEADER = "127.0.0.1:8300"
"""Whom `status/leader` names; clients only look whether there is one."""
ANY = "any"


def services(found: Iterable[Instance]) -> dict[str, list[str]]:
    """Return every service with the tags of its instances (`catalog/services`)."""
    tags: dict[str, set[str]] = {}
    for item in found:
        tags.setdefault(item.service, set()).update(item.tags)
    return {name: sorted(tags[name]) for name in sorted(tags)}


def catalog_entry(item: Instance) -> dict[str, Any]:
    """Return an instance as `catalog/service/<name>` lists it."""
    return {
        "ID": NODE_ID,
        "Node": NODE,
        "Address": item.address,
        "Datacenter": NODE,
        "TaggedAddresses": {},
        "NodeMeta": {},
        "ServiceID": item.id,
        "ServiceName": item.service,
        "ServiceKind": "",
        "ServiceTags": list(item.tags),
        "ServiceAddress": item.address,
        "ServicePort": item.port,
        "ServiceMeta": _meta(item),
        "ServiceWeights": _weights(item),
        "ServiceEnableTagOverride": False,
    }


def health_entry(item: Instance) -> dict[str, Any]:
    """Return an instance with its checks as `health/service/<name>` lists it."""
    return {
        "Node": {
            "ID": NODE_ID,
            "Node": NODE,
            "Address": item.address,
            "Datacenter": NODE,
            "Meta": {},
        },
        "Service": agent_service(item),
        "Checks": checks([item]),
    }


def agent_service(item: Instance) -> dict[str, Any]:
    """Return an instance as `agent/services` has it."""
    return {
        "ID": item.id,
        "Service": item.service,
        "Tags": list(item.tags),
        "Meta": _meta(item),
        "Address": item.address,
        "Port": item.port,
        "Weights": _weights(item),
        "EnableTagOverride": False,
        "Datacenter": NODE,
    }


def checks(found: Iterable[Instance], state: str = ANY) -> list[dict[str, Any]]:
    """Return the checks of instances that are in a state (`health/state/<state>`)."""
    return [
        _check(item, held)
        for item in found
        for held in item.checks
        if state in (ANY, held.state.status.value)
    ]


def selected(found: Iterable[Instance], *, tags: Iterable[str], passing: bool) -> list[Instance]:
    """Return the instances that have all of the tags, and only those that pass where that is asked for."""
    wanted = set(tags)
    return [
        item
        for item in found
        if wanted <= set(item.tags) and (not passing or item.status is Status.PASSING)
    ]


def agent() -> dict[str, Any]:
    """Return what `agent/self` says about whom a client talks to."""
    return {
        "Config": {"Datacenter": NODE, "NodeName": NODE, "NodeID": NODE_ID, "Version": __version__},
        "Member": {"Name": NODE, "Status": 1},
    }


def node() -> dict[str, Any]:
    """Return the only node of `catalog/nodes`."""
    return {"ID": NODE_ID, "Node": NODE, "Address": "127.0.0.1", "Datacenter": NODE, "Meta": {}}


def _check(item: Instance, held: CheckState) -> dict[str, Any]:
    return {
        "Node": NODE,
        "CheckID": held.check.id,
        "Name": held.check.name,
        "Status": held.state.status.value,
        "Notes": held.check.notes,
        "Output": held.state.output,
        "ServiceID": item.id,
        "ServiceName": item.service,
        "ServiceTags": list(item.tags),
        "Type": held.check.kind,
    }


def _meta(item: Instance) -> dict[str, str]:
    return {**item.meta, "kind": item.kind.value}


def _weights(item: Instance) -> dict[str, int]:
    weights = item.document.weights
    return {"Passing": weights.passing, "Warning": weights.warning}
