"""What Consul's clients send to register a service, read as the registry's own terms.

Clients write names as they like (`DeregisterCriticalServiceAfter`, `deregister_critical_service_after`): case
and underscores do not count, as with Consul. What Consul knows and this does not is ignored where it changes
nothing about finding the service (proxies, locality), and refused where it would be silently missing (script,
gRPC and Docker checks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from datapunk.errors import FieldError, MalformedRequestError
from datapunk.nexus.consul.durations import seconds_of
from datapunk.registry import Check, Kind, Registration, Status, Weights
from datapunk.registry.model import PROBE_TIMEOUT

_LONGEST_OUTPUT = 4_096
_KIND = "kind"
_FOREIGN = {
    "args": "script",
    "script": "script",
    "dockercontainerid": "Docker",
    "grpc": "gRPC",
    "h2ping": "HTTP/2 ping",
    "udp": "UDP",
    "aliasnode": "alias",
    "aliasservice": "alias",
    "osservice": "OS service",
}
"""Checks an agent beside the service would run, or that nobody probes here."""

Milliseconds = Annotated[
    int,
    BeforeValidator(
        lambda value: round(seconds_of(value) * 1000) if isinstance(value, str) else value
    ),
]
MetaValue = Annotated[str, StringConstraints(max_length=512)]


def _folded(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {str(name).lower().replace("_", ""): item for name, item in value.items()}


class _Given(BaseModel):
    """Something a client sent; null stands for nothing, as in Go."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        folded = _folded(value)
        if isinstance(folded, dict):
            return {name: item for name, item in folded.items() if item is not None}
        return folded


class GivenCheck(_Given):
    """A check of a service: `ttl`, `http` or `tcp`."""

    checkid: str = ""
    id: str = ""
    name: str = ""
    notes: str = ""
    ttl: Milliseconds = 0
    http: str = ""
    tcp: str = ""
    method: str = "GET"
    interval: Milliseconds = 0
    timeout: Milliseconds = 0
    status: Status | None = None
    failuresbeforecritical: int = 0
    successbeforepassing: int = 0
    deregistercriticalserviceafter: Milliseconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_run_here(cls, value: Any) -> Any:
        folded = _folded(value)
        if not isinstance(folded, dict):
            return folded
        foreign = [_FOREIGN[name] for name in folded if name in _FOREIGN and folded[name]]
        if foreign:
            raise ValueError(f"{foreign[0]} checks are not run here: use ttl, http or tcp")
        return folded


class GivenWeights(_Given):
    """Weights of a service while it passes and while it warns."""

    passing: int = 1
    warning: int = 1


class GivenService(_Given):
    """A service to register."""

    id: str = ""
    name: str
    address: str = ""
    port: int = 0
    tags: list[str] = Field(default_factory=list)
    meta: dict[str, MetaValue] = Field(default_factory=dict)
    weights: GivenWeights = GivenWeights()
    check: GivenCheck | None = None
    checks: list[GivenCheck] = Field(default_factory=list, max_length=16)


class GivenUpdate(_Given):
    """A heartbeat with its state in the body."""

    status: Status = Status.PASSING
    output: str = Field(default="", max_length=_LONGEST_OUTPUT)


class Wanted(BaseModel):
    """A registration as the registry takes it: the instance, and each check with its first state."""

    registration: Registration
    checks: list[tuple[Check, Status | None]]


def read_service(content: bytes) -> Wanted:
    """Return what the body of a registration asks for. Raises MalformedRequestError, as Consul's 400."""
    try:
        return _wanted(GivenService.model_validate(_json(content)))
    except ValidationError as error:
        raise _malformed(error) from None


def read_update(content: bytes) -> GivenUpdate:
    """Return what the body of a heartbeat says. Raises MalformedRequestError."""
    try:
        return GivenUpdate.model_validate(_json(content))
    except ValidationError as error:
        raise _malformed(error) from None


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(f"The body is not valid JSON: {error.msg}.") from None


def _wanted(given: GivenService) -> Wanted:
    name = given.id or given.name
    kind = given.meta.get(_KIND, Kind.HTTP)
    if kind == Kind.LAMBDA:
        raise _refused("Meta", "the kind lambda is for the platform's own functions")
    registration = Registration.model_validate(
        {
            "id": name,
            "service": given.name,
            "kind": kind,
            "address": given.address,
            "port": given.port,
            "tags": given.tags,
            "meta": given.meta,
            "weights": Weights(passing=given.weights.passing, warning=given.weights.warning),
        }
    )
    listed = [*([given.check] if given.check else []), *given.checks]
    checks = [
        (_check(item, registration, place, len(listed)), item.status)
        for place, item in enumerate(listed, start=1)
    ]
    if len({check.id for check, _ in checks}) != len(checks):
        raise _refused("Checks", "two checks have the same id")
    return Wanted(registration=registration, checks=checks)


def _check(given: GivenCheck, registration: Registration, place: int, total: int) -> Check:
    """Return a check; without an id it has the one Consul would give it."""
    default = f"service:{registration.id}" + (f":{place}" if total > 1 else "")
    kinds = [name for name in ("ttl", "http", "tcp") if getattr(given, name)]
    if len(kinds) != 1:
        raise _refused("Check", "a check has exactly one of ttl, http and tcp")
    target = given.http or given.tcp
    if target:
        _require_own_address(kinds[0], target, registration)
    reap = given.deregistercriticalserviceafter
    described: dict[str, Any] = {
        "id": given.checkid or given.id or default,
        "instance": registration.id,
        "name": given.name or f"Service '{registration.service}' check",
        "kind": kinds[0],
        "ttl_ms": given.ttl,
        "target": target,
        "method": given.method.upper(),
        "reap_ms": -1 if reap is None else reap,
        "notes": given.notes,
    }
    optional = {
        "interval_ms": given.interval,
        "timeout_ms": min(given.timeout, int(PROBE_TIMEOUT * 1000)),
        "failures": given.failuresbeforecritical,
        "successes": given.successbeforepassing,
    }
    described.update({name: value for name, value in optional.items() if value})
    return Check.model_validate(described)


def _require_own_address(kind: str, target: str, registration: Registration) -> None:
    """Refuse a probe of anything but the instance itself: the platform asks nobody on a tenant's behalf."""
    try:
        parts = urlsplit(target if kind == "http" else f"tcp://{target}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("Check", "the target is no URL or address") from None
    if kind == "http" and parts.scheme not in ("http", "https"):
        raise _refused("Check", "the target is no HTTP URL")
    if parts.username is not None or not host or (kind == "tcp" and port is None):
        raise _refused("Check", "the target is a host and a port, without credentials")
    if host.lower() != registration.address.strip("[]").lower():
        raise _refused("Check", "the target is the address that the service is registered with")


def _refused(field: str, message: str) -> MalformedRequestError:
    error = FieldError(field, message, "invalid")
    return MalformedRequestError(f"{field}: {message}.", errors=[error])


def _malformed(error: ValidationError) -> MalformedRequestError:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    return _refused(place, str(first["msg"]).removeprefix("Value error, "))
