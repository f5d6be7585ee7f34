"""ANY /v1/nexus/consul/{path}: register and find services as Consul's clients do."""

from typing import Annotated, Any, Literal

from datapunk import registry
from datapunk.asgi import asgi_function, caller
from datapunk.context import remaining_seconds
from datapunk.database.connection import discard
from datapunk.errors import MalformedRequestError, NotFoundError
from datapunk.guard import Guard
from datapunk.nexus.consul import answering, registering
from datapunk.nexus.consul.durations import seconds_of
from datapunk.nexus.registry.access import may_change_others
from datapunk.policy import require
from datapunk.registry import Instance, Status
from datapunk.settings import settings
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse

MOST_WAIT = 25.0
"""Seconds that a query may block: API Gateway answers for itself after 29."""
USUAL_WAIT = "5m"
RESERVE = 1.5
HEARTBEATS = {"pass": Status.PASSING, "warn": Status.WARNING, "fail": Status.CRITICAL}
UNSUPPORTED = ("filter", "node-meta", "peer")

Name = Annotated[str, Path(max_length=128)]
Beat = Literal["pass", "warn", "fail"]
State = Literal["any", "passing", "warning", "critical"]


def _is_heartbeat(event: Any) -> bool:
    return "/v1/agent/check/" in str(event.get("path"))


def _may_read(request: Request) -> None:
    require("registry.read")
    for name in UNSUPPORTED:
        if name in request.query_params:
            raise MalformedRequestError(
                f"{name} is not supported: leave it out, and choose yourself."
            )


def _may_write() -> None:
    require("registry.write")


def _overrides(request: Request) -> bool:
    address = request.client.host if request.client else ""
    return may_change_others(caller(), trusted_network=settings().trusts(address))


Overrides = Annotated[bool, Depends(_overrides)]
Index = Annotated[int, Query(ge=0)]


def _read(service: str, index: int, wait: str) -> tuple[list[Instance], dict[str, str]]:
    """Return instances once the index is no longer the given one, or the time is up."""
    try:
        seconds = seconds_of(wait)
    except ValueError as error:
        raise MalformedRequestError(f"wait {error}.") from None
    tenant = caller().tenant
    if index:
        # Nobody keeps a connection of the database from others by waiting.
        discard()
        registry.wait(tenant, index, min(seconds, MOST_WAIT, remaining_seconds() - RESERVE))
    found, now = registry.instances(tenant, service)
    return found, {
        "X-Consul-Index": str(max(now, 1)),
        "X-Consul-KnownLeader": "true",
        "X-Consul-LastContact": "0",
    }


def _own() -> list[Instance]:
    """Return what the caller has registered: his agent, in Consul's terms."""
    sender = caller()
    found, _ = registry.instances(sender.tenant)
    return [i for i in found if (i.tenant, i.document.owner) == (sender.tenant, sender.principal)]


reads = APIRouter(prefix="/v1/nexus/consul/v1", dependencies=[Depends(_may_read)])
writes = APIRouter(prefix="/v1/nexus/consul/v1", dependencies=[Depends(_may_write)])


@reads.get("/catalog/services")
async def list_services(index: Index = 0, wait: str = USUAL_WAIT) -> Response:
    """Return the names of all services with their tags."""
    found, headers = _read("", index, wait)
    return JSONResponse(answering.services(found), headers=headers)


@reads.get("/catalog/service/{service}")
async def list_instances(
    service: Name,
    index: Index = 0,
    wait: str = USUAL_WAIT,
    tag: Annotated[tuple[str, ...], Query()] = (),
) -> Response:
    """Return the instances of a service, however they are."""
    found, headers = _read(service, index, wait)
    wanted = answering.selected(found, tags=tag, passing=False)
    return JSONResponse([answering.catalog_entry(item) for item in wanted], headers=headers)


@reads.get("/health/service/{service}")
async def list_health(
    service: Name,
    index: Index = 0,
    wait: str = USUAL_WAIT,
    tag: Annotated[tuple[str, ...], Query()] = (),
    passing: str | None = None,
) -> Response:
    """Return the instances of a service with their checks; with `passing` only those that pass."""
    found, headers = _read(service, index, wait)
    only = passing is not None and passing.lower() not in ("0", "f", "false")
    wanted = answering.selected(found, tags=tag, passing=only)
    return JSONResponse([answering.health_entry(item) for item in wanted], headers=headers)


@reads.get("/health/checks/{service}")
async def list_checks(service: Name, index: Index = 0, wait: str = USUAL_WAIT) -> Response:
    """Return the checks of a service's instances."""
    found, headers = _read(service, index, wait)
    return JSONResponse(answering.checks(found), headers=headers)


@reads.get("/health/state/{state}")
async def list_states(state: State, index: Index = 0, wait: str = USUAL_WAIT) -> Response:
    """Return the checks of all services that are in a state."""
    found, headers = _read("", index, wait)
    return JSONResponse(answering.checks(found, state), headers=headers)


@reads.get("/agent/services")
async def list_own_services() -> dict[str, Any]:
    """Return what the caller has registered."""
    return {item.id: answering.agent_service(item) for item in _own()}


@reads.get("/agent/service/{instance}")
async def get_own_service(instance: Name) -> dict[str, Any]:
    """Return an instance that the caller has registered, or 404."""
    for item in _own():
        if item.id == instance:
            return answering.agent_service(item)
    raise NotFoundError(f"You have registered no instance {instance}.")


@reads.get("/agent/checks")
async def list_own_checks() -> dict[str, Any]:
    """Return the checks of what the caller has registered."""
    return {check["CheckID"]: check for check in answering.checks(_own())}


@reads.get("/agent/self")
async def describe_agent() -> dict[str, Any]:
    """Return whom the client talks to."""
    return answering.agent()


@reads.get("/catalog/datacenters")
async def list_datacenters() -> list[str]:
    """Return the only datacenter."""
    return [answering.NODE]


@reads.get("/catalog/nodes")
async def list_nodes(index: Index = 0, wait: str = USUAL_WAIT) -> Response:
    """Return the only node."""
    _, headers = _read("", index, wait)
    return JSONResponse([answering.node()], headers=headers)


@writes.put("/agent/service/register")
async def register_service(request: Request, overrides: Overrides) -> None:
    """Register an instance, or what is new about one."""
    wanted = registering.read_service(await request.body())
    sender = caller()
    registry.register(
        sender.tenant,
        wanted.registration,
        wanted.checks,
        owner=sender.principal,
        override=overrides,
    )


@writes.put("/agent/service/deregister/{instance}")
async def deregister_service(instance: Name, overrides: Overrides) -> None:
    """Remove an instance."""
    sender = caller()
    registry.deregister(sender.tenant, instance, owner=sender.principal, override=overrides)


@writes.put("/agent/check/update/{check}")
async def update_check(check: Name, request: Request, overrides: Overrides) -> None:
    """Take a heartbeat whose state is in the body."""
    given = registering.read_update(await request.body())
    sender = caller()
    registry.beat(
        sender.tenant,
        check,
        given.status,
        given.output,
        owner=sender.principal,
        override=overrides,
    )


@writes.put("/agent/check/{beat}/{check}")
async def take_heartbeat(
    beat: Beat,
    check: Name,
    overrides: Overrides,
    note: Annotated[str, Query(max_length=4_096)] = "",
) -> None:
    """Take a heartbeat."""
    sender = caller()
    registry.beat(
        sender.tenant, check, HEARTBEATS[beat], note, owner=sender.principal, override=overrides
    )


app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
app.include_router(reads)
app.include_router(writes)
handler = asgi_function(
    "nexus.consul",
    app,
    # Heartbeats come every few seconds and change nothing that an audit asks about.
    guard=Guard(open_query=True, mutates=lambda event: not _is_heartbeat(event)),
)
