"""What the data plane is told when it starts, and the limits it keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of AWS Lambda and API Gateway, and the few that are ours. Times are in seconds.

    Sources: the quota pages of AWS Lambda and Amazon API Gateway.
    """

    environments: int = 10
    """Environments at once of one function without reserved concurrency; ours."""
    queue_seconds: float = 5.0
    """How long a caller waits for a free environment before it is throttled; ours."""
    idle_seconds: float = 300.0
    """How long an unused environment stays warm; ours, near to what Lambda does."""
    reap_seconds: float = 15.0
    """How often idle environments are looked for."""
    init_seconds: float = 10.0
    """Limit of the init phase, or the function's timeout when that is longer."""
    invoke_bytes: int = 6 * MEBIBYTE
    """Payload of a synchronous invocation, and of its answer."""
    async_bytes: int = MEBIBYTE
    """Payload of an asynchronous invocation."""
    retry_delays: tuple[float, ...] = (1.0, 2.0)
    """Delays before the retries of an asynchronous invocation (Lambda: one and two minutes)."""
    event_age_seconds: float = 21_600.0
    """Age after which an asynchronous event is dropped."""
    request_bytes: int = 10 * MEBIBYTE
    """Body of a request to the REST API."""
    wall_seconds: float = 29.0
    """Integration timeout of the REST API."""
    message_bytes: int = 128 * 1024
    """Message of a WebSocket connection."""
    websocket_idle_seconds: float = 600.0
    """A WebSocket connection without traffic is closed after this."""
    websocket_seconds: float = 7200.0
    """A WebSocket connection is closed after this in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration file of one data plane."""

    project: Path
    state: Path
    gateway_host: str
    gateway_port: int
    invoke_port: int
    mutual_tls_port: int | None = None
    """Port of the API that asks for client certificates; None leaves it out."""
    aws_endpoint: str
    stack_name: str
    template: Path
    amqp_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables every function gets beside its own, for instance the endpoint of AWS."""
    limits: Limits = field(default_factory=Limits)

    @property
    def logs(self) -> Path:
        """Folder of the functions' log files."""
        return self.state / "logs"

    @property
    def tls(self) -> Path:
        """Folder of the API's own certificate and of the authority that clients trust for it."""
        return self.state / "tls"


def read_settings(path: Path) -> Settings:
    """Read the configuration file.

    Raises `ValueError` naming the file when a key is missing or unknown.
    """
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    limits = dict(values.pop("limits", {}))
    if "retry_delays" in limits:
        limits["retry_delays"] = tuple(limits["retry_delays"])
    for name in ("project", "state", "template"):
        if name in values:
            values[name] = Path(values[name])
    try:
        return Settings(**values, limits=Limits(**limits))
    except TypeError as error:
        raise ValueError(
            f"{path} is no configuration of the data plane ({error}); correct the key it names."
        ) from error
