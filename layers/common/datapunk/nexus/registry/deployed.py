"""The platform's own services: which there are says a catalogue generated from the tree of functions.

Each has one entry of kind `lambda`, however many functions and environments it has: Lambda balances. Its
address is what the names of its functions begin with, `datapunk-lake` of `datapunk-lake-create_dataset`. The
entry is a lease that a deployment begins and a schedule renews, so that a service which a deployment has
taken away is gone when its lease is over.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from datapunk import __version__, registry
from datapunk.errors import ConfigurationError
from datapunk.registry import PLATFORM, Check, Kind, Registration, Status
from datapunk.settings import settings

CATALOGUE = Path(__file__).with_name("services.json")
LEASE = 180.0
"""Seconds that an entry outlives the last deployment or schedule that named it."""
OWNER = "service:nexus"
_OWN_NAME = "-nexus-"


def deployed_services() -> dict[str, list[str]]:
    """Return every service of this deployment with its operations."""
    catalogue: dict[str, list[str]] = orjson.loads(CATALOGUE.read_bytes())
    return catalogue


def register_deployed(services: dict[str, list[str]] | None = None) -> list[str]:
    """Register or renew the services of this deployment and return their names.

    Raises UnavailableError when Redis does not answer, ConfigurationError where the function's own name
    does not tell how the others are called.
    """
    prefix = _prefix()
    wanted = deployed_services() if services is None else services
    for name, operations in wanted.items():
        registration = Registration(
            id=name,
            service=name,
            kind=Kind.LAMBDA,
            address=f"{prefix}-{name}",
            tags=("platform",),
            meta={"version": __version__, "operations": " ".join(operations)},
        )
        lease = Check(
            id=f"service:{name}",
            instance=name,
            name="Deployed",
            kind="ttl",
            ttl_ms=int(LEASE * 1000),
            reap_ms=0,
        )
        registry.register(PLATFORM, registration, [(lease, Status.PASSING)], owner=OWNER)
    return sorted(wanted)


def _prefix() -> str:
    """Return what the names of all functions of the stack begin with."""
    name = settings().function_name
    prefix, found, _ = name.rpartition(_OWN_NAME)
    if not found:
        raise ConfigurationError(
            f"AWS_LAMBDA_FUNCTION_NAME is {name!r}, not <stack>-nexus-<operation>."
        )
    return prefix
