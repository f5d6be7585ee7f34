"""The registry in Redis. What changes several keys is one script; a tenant's keys are in one slot.

Functions here raise UnavailableError when Redis does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from datapunk import cache as redis_cache
from datapunk.errors import ConflictError, FieldError, ForbiddenError, NotFoundError
from datapunk.registry.model import (
    PLATFORM,
    Check,
    CheckState,
    Document,
    Instance,
    Registration,
    State,
    Status,
)

MOST_INSTANCES = 1_000
"""Instances that a tenant may have."""
LOOK_EVERY = 0.1
"""Seconds between two looks at the index while waiting for a change."""
TENANTS = "registry:tenants"
"""The set of all who have, or had, something registered."""

_SCRIPTS = Path(__file__).with_name("scripts")
_PARTS = ("instances", "checks", "states", "leases", "reaping", "index", "changes", "names")


def register(
    tenant: str,
    registration: Registration,
    checks: Sequence[tuple[Check, Status | None]] = (),
    *,
    owner: str,
    override: bool = False,
) -> int:
    """Register an instance, or what is new about one; return the tenant's index.

    Each check comes with the state it begins in, by default critical; one that is there already keeps its
    state unless another is given, and has its lease renewed. Registering the same again changes nothing.
    `override` is for a caller who may change what others own. Raises ForbiddenError when the instance is
    another's, ConflictError when the name is one of the platform's services, a check's id another
    instance's, or the tenant has `MOST_INSTANCES`.
    """
    if tenant != PLATFORM and _read(PLATFORM, registration.service)[1]:
        raise ConflictError(
            f"{registration.service} is a service of the platform.",
            errors=[FieldError("Name", "is a service of the platform", "reserved")],
        )
    names = tuple(check.id for check, _ in checks)
    document = Document(**registration.model_dump(), owner=owner, checks=names)
    arguments = [document.model_dump_json(), _flag(override), str(MOST_INSTANCES)]
    for check, status in checks:
        arguments += [check.model_dump_json(), status.value if status else ""]
    with redis_cache.translated():
        redis_cache.client().sadd(TENANTS, tenant)
    answer = str(_run("register", tenant, *arguments))
    if answer == "foreign":
        raise _foreign(registration.id)
    if answer == "full":
        raise ConflictError(f"{MOST_INSTANCES:,} instances are registered, which is the most.")
    if answer.startswith("taken "):
        raise ConflictError(f"The check {answer.removeprefix('taken ')} is of another instance.")
    return int(answer)


def deregister(tenant: str, instance: str, *, owner: str, override: bool = False) -> int:
    """Remove an instance and return the tenant's index.

    Raises NotFoundError when there is none, ForbiddenError when it is another's.
    """
    answer = str(_run("deregister", tenant, instance, owner, _flag(override)))
    if answer == "missing":
        raise NotFoundError(f"No instance {instance} is registered.")
    if answer == "foreign":
        raise _foreign(instance)
    return int(answer)


def beat(
    tenant: str,
    check: str,
    status: Status = Status.PASSING,
    output: str = "",
    *,
    owner: str,
    override: bool = False,
) -> int:
    """Take a heartbeat of a check and return the tenant's index.

    Raises NotFoundError when the check is not, or no longer, registered: then its service registers anew.
    Raises ForbiddenError when it is another's, ConflictError when it is probed and takes no heartbeats.
    """
    answer = str(_run("beat", tenant, check, status.value, output, owner, _flag(override)))
    if answer == "missing":
        raise NotFoundError(f"No check {check} is registered: register the service anew.")
    if answer == "foreign":
        raise _foreign(check)
    if answer == "probed":
        raise ConflictError(
            f"The check {check} is probed by the platform, and takes no heartbeats."
        )
    return int(answer)


def judge(tenant: str, check: Check, *, success: bool, output: str) -> Status | None:
    """Count the result of a probe and return the state of the check; None when it is gone."""
    answer = _run("judge", tenant, check.id, _flag(success), output, check.model_dump_json())
    return None if answer == "missing" else Status(str(answer))


def instances(tenant: str, service: str = "") -> tuple[list[Instance], int]:
    """Return the instances of a service, or all, that a tenant finds, and the index they were read at.

    A name that the platform has is the platform's. The index is the sum of the platform's and the tenant's:
    both only grow, so it moves whenever one of them does.
    """
    index, found = _read(PLATFORM, service)
    if tenant == PLATFORM:
        return found, index
    own_index, own = _read(tenant, service)
    taken = {instance.service for instance in found}
    found += [instance for instance in own if instance.service not in taken]
    return found, index + own_index


def index_of(tenant: str) -> int:
    """Return the index that `instances` would read at."""
    places = {PLATFORM, tenant}
    return sum(int(_run("look", place)) for place in places)


def wait(tenant: str, index: int, seconds: float) -> int:
    """Return the index as soon as it is no longer `index`, or what it is after `seconds`.

    Leases that expire meanwhile move it. A look costs Redis a few microseconds, and no connection is held
    but this environment's own.
    """
    give_up = time.monotonic() + seconds
    while (now := index_of(tenant)) == index:
        left = give_up - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(LOOK_EVERY, left))
    return now


def sweep() -> int:
    """Let leases that are over expire, for every tenant; return how many tenants have something registered.

    The platform's own services do not count.
    """
    occupied = 0
    for tenant in tenants():
        _run("look", tenant)
        if tenant != PLATFORM:
            with redis_cache.translated():
                occupied += bool(redis_cache.client().exists(key(tenant, "instances")))
    return occupied


def tenants() -> list[str]:
    """Return all who have, or had, something registered; the platform is one of them."""
    with redis_cache.translated():
        members: Any = redis_cache.client().smembers(TENANTS)
    return sorted(members)


def key(tenant: str, part: str) -> str:
    """Return the key of a part of a tenant's registry. What is in braces decides the slot."""
    return f"registry:{{{tenant}}}:{part}"


def _read(tenant: str, service: str) -> tuple[int, list[Instance]]:
    index, rows = _run("read", tenant, service)
    return int(index), [_instance(tenant, row) for row in rows]


def _instance(tenant: str, row: list[str]) -> Instance:
    document, *rest = row
    pairs = zip(rest[::2], rest[1::2], strict=True)
    states = tuple(
        CheckState(Check.model_validate_json(check), State.model_validate_json(state))
        for check, state in pairs
    )
    return Instance(tenant, Document.model_validate_json(document), states)


def _foreign(name: str) -> ForbiddenError:
    return ForbiddenError(f"{name} was registered by somebody else.")


def _flag(value: bool) -> str:  # noqa: FBT001 -- what it makes is an argument itself
    return "1" if value else "0"


@cache
def _script(name: str) -> str:
    parts = (_SCRIPTS / "prelude.lua", _SCRIPTS / f"{name}.lua")
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def _run(name: str, tenant: str, *arguments: str) -> Any:
    keys = [key(tenant, part) for part in _PARTS]
    with redis_cache.translated():
        run: Callable[..., Any] = redis_cache.client().register_script(_script(name))
        return run(keys=keys, args=arguments)
