"""What is deployed, as the data plane sees it.

The control plane is the source: `control_plane.reading` fills these types from the deployed stack
(function configurations, API resources) and, for what the control plane forgets (queues of an MQ
mapping, durable configuration), from the translated template. The data plane reads nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

NOTIFICATION_ID = "datapunk:"
RULE_ID = ":rule"
"""What the ids of notifications start with that the data plane has led to its queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One deployed function. `memory` is in MiB, `timeout` in seconds."""

    name: str
    arn: str
    handler: str
    timeout: float
    memory: int
    environment: Mapping[str, str]
    code: str
    """Folder whose content is the function's `/var/task`."""
    layers: tuple[str, ...] = ()
    """Folders put on the path as a layer's `python/` is, first wins."""
    reserved_concurrency: int | None = None
    log_group: str = ""

    @property
    def operation(self) -> str:
        """`lake.create_dataset` of the handler `lake.create_dataset.handler`.

        The face of a protocol is called as its folder: `nexus.consul` of `nexus.consul.app.handler`.
        """
        return self.handler.rpartition(".")[0].replace("/", ".").removesuffix(".app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """A Lambda authorizer of the API. `ttl` is in seconds, 0 means no caching."""

    name: str
    function: str
    kind: str
    """`TOKEN` or `REQUEST`."""
    identity_sources: tuple[str, ...] = ()
    """As the API has them: `method.request.header.Authorization`, ..."""
    identity_validation: str | None = None
    ttl: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one resource of the REST API, and the function behind it."""

    method: str
    """`GET`, `POST`, ... or `ANY`."""
    path: str
    """`/v1/lake/datasets/{dataset}`; `{proxy+}` takes the rest of the path."""
    function: str
    resource_id: str = ""
    authorizer: Authorizer | None = None
    api_key_required: bool = False
    timeout: float = 29.0
    required_parameters: tuple[str, ...] = ()
    """Parameters the method's request validator insists on: `method.request.querystring.x`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayResponse:
    """What the API answers by itself in one case, such as `UNAUTHORIZED` or `DEFAULT_4XX`."""

    kind: str
    status: int | None = None
    """None keeps the status of the case."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header name to value, without the quotes that API Gateway's notation has around it."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Content type to template, with `$context.error.messageString` and the like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestApi:
    """A deployed REST API stage."""

    id: str
    name: str
    stage: str
    routes: tuple[Route, ...] = ()
    binary_types: tuple[str, ...] = ()
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    burst_limit: int | None = None
    """Requests at once that the stage lets through; None means no throttling."""
    rate_limit: float | None = None
    """Requests a second, steady."""
    gateway_responses: Mapping[str, GatewayResponse] = field(default_factory=dict)
    """By kind; what is not here is answered as API Gateway does without being told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketApi:
    """A deployed WebSocket API stage: route key to function."""

    id: str
    name: str
    stage: str
    selection: str = "$request.body.action"
    routes: Mapping[str, str] = field(default_factory=dict)
    answering_routes: frozenset[str] = frozenset()
    """Routes whose function's answer is sent back (a route response is defined)."""
    authorizer: Authorizer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMapping:
    """An event source mapping of a RabbitMQ queue. `window` is in seconds."""

    id: str
    function: str
    broker_arn: str
    queue: str
    virtual_host: str = "/"
    batch_size: int = 100
    window: float = 0.5
    enabled: bool = True
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule: `rate(1 minute)`, `cron(...)` or `at(...)`, and what it sends."""

    name: str
    function: str
    expression: str
    payload: str | None = None
    """The JSON text the function gets; None means the default scheduled event."""
    timezone: str = "UTC"
    enabled: bool = True
    source: str = "aws.events"
    """`aws.events` for an EventBridge rule, `aws.scheduler` for EventBridge Scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageNotification:
    """A bucket's notification: events such as `s3:ObjectCreated:*` go to the function.

    Those of a `rule` of EventBridge go there in the shape that EventBridge gives them.
    """

    bucket: str
    function: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""
    rule: bool = False

    @property
    def id(self) -> str:
        """Return the id under which the data plane has the bucket notify its queue instead.

        It names the function, so that a bucket whose notifications have been led to the queue still
        tells whom they are for.
        """
        content = repr((self.bucket, self.function, self.events, self.prefix, self.suffix))
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return f"{NOTIFICATION_ID}{self.function}:{digest}{RULE_ID if self.rule else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Everything deployed. Functions are keyed by their deployed name."""

    region: str = "us-east-1"
    account: str = "000000000000"
    functions: Mapping[str, Function] = field(default_factory=dict)
    rest_api: RestApi | None = None
    websocket_api: WebSocketApi | None = None
    queues: tuple[QueueMapping, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    storage: tuple[StorageNotification, ...] = ()
    trust_store: str | None = None
    """URI of the roots that clients' certificates come from, `s3://bucket/key`."""
