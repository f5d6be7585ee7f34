"""What is registered: instances of services, and the checks that say how they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

PLATFORM = "*"
"""Where the platform's own services are registered: every tenant finds them, none can change them."""
INTERVAL = 5.0
"""Seconds between two probes of a check."""
PROBE_TIMEOUT = 3.0
"""Seconds that a probe may take at most: one that waits longer would hold up the next round."""
THRESHOLD = 3
"""Failed probes one after another that make a check critical."""
RECOVERY = 2
"""Probes that must succeed one after another before a check that was critical passes again."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
ID = r"^[A-Za-z0-9][A-Za-z0-9._:@+~-]{0,127}$"
_ADDRESS = r"^[A-Za-z0-9:_.\[\]%-]{0,253}$"
"""A host name, an IP address, or the name or ARN of a function."""
_NONE = -1
_LONGEST_PROBE = int(PROBE_TIMEOUT * 1000)

ServiceName = Annotated[str, StringConstraints(pattern=NAME)]
Identifier = Annotated[str, StringConstraints(pattern=ID)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Kind(StrEnum):
    """How an instance is called: a Lambda function by its name, a container by HTTP or gRPC."""

    LAMBDA = "lambda"
    HTTP = "http"
    GRPC = "grpc"


class Status(StrEnum):
    """How a check is, and an instance by the worst of its checks."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The higher, the worse."""
        return list(Status).index(self)


class Check(BaseModel):
    """A check of an instance. `ttl` is a lease that heartbeats renew; the others are probed.

    Times are milliseconds, as the scripts need them. `reap_ms` is how long the check may be critical before
    its instance is removed; -1 is for ever.
    """

    model_config = ConfigDict(frozen=True)

    id: Identifier
    instance: Identifier
    name: str = Field(default="", max_length=255)
    kind: Literal["ttl", "http", "tcp"]
    ttl_ms: int = Field(default=0, ge=0, le=86_400_000)
    target: str = Field(default="", max_length=2_048)
    method: Literal["GET", "HEAD"] = "GET"
    interval_ms: int = Field(default=int(INTERVAL * 1000), ge=1_000, le=3_600_000)
    timeout_ms: int = Field(default=_LONGEST_PROBE, ge=100, le=_LONGEST_PROBE)
    failures: int = Field(default=THRESHOLD, ge=1, le=100)
    successes: int = Field(default=RECOVERY, ge=1, le=100)
    reap_ms: int = Field(default=_NONE, ge=_NONE, le=2_592_000_000)
    notes: str = Field(default="", max_length=1_024)


class Weights(BaseModel):
    """How much traffic an instance gets beside others, while it passes and while it warns."""

    model_config = ConfigDict(frozen=True)

    passing: int = Field(default=1, ge=0, le=65_535)
    warning: int = Field(default=1, ge=0, le=65_535)


class Registration(BaseModel):
    """An instance as its owner describes it."""

    model_config = ConfigDict(frozen=True)

    id: Identifier
    service: ServiceName
    kind: Kind = Kind.HTTP
    address: str = Field(default="", pattern=_ADDRESS)
    port: int = Field(default=0, ge=0, le=65_535)
    tags: tuple[Tag, ...] = Field(default=(), max_length=64)
    meta: dict[str, Annotated[str, StringConstraints(max_length=4_096)]] = Field(
        default_factory=dict, max_length=64
    )
    weights: Weights = Weights()


class Document(Registration):
    """An instance as it is kept: whose it is, and its checks by name."""

    owner: str
    checks: tuple[str, ...] = ()


class State(BaseModel):
    """How a check is, and since when in milliseconds of the epoch."""

    model_config = ConfigDict(frozen=True)

    status: Status
    output: str = ""
    since: int = 0
    streak: int = 0


@dataclass(frozen=True, slots=True)
class CheckState:
    """A check and how it is."""

    check: Check
    state: State


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that was found, with its checks as they were then."""

    tenant: str
    document: Document
    checks: tuple[CheckState, ...] = ()

    @property
    def id(self) -> str:
        """Its name within the tenant."""
        return self.document.id

    @property
    def service(self) -> str:
        """The service it is an instance of."""
        return self.document.service

    @property
    def kind(self) -> Kind:
        """How it is called."""
        return self.document.kind

    @property
    def address(self) -> str:
        """Host name or IP address; for a Lambda service the function's name or ARN."""
        return self.document.address

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Lambda service."""
        return self.document.port

    @property
    def tags(self) -> tuple[str, ...]:
        """What its owner has tagged it with."""
        return self.document.tags

    @property
    def meta(self) -> dict[str, str]:
        """What else its owner says about it, e.g. its `version`."""
        return self.document.meta

    @property
    def status(self) -> Status:
        """The worst of its checks; passing without any."""
        states = (item.state.status for item in self.checks)
        return max(states, key=lambda status: status.rank, default=Status.PASSING)

    @property
    def weight(self) -> int:
        """How much traffic it gets beside others as it is now: none while it is critical."""
        weights = self.document.weights
        by_status = {Status.PASSING: weights.passing, Status.WARNING: weights.warning}
        return by_status.get(self.status, 0)
