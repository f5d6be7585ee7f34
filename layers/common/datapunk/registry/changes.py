"""Changes of the registry as events.

A script records a change with the change itself, in the tenant's stream; here it is published with the
broker's confirmation, then forgotten. So no change that was made goes untold: a crash in between publishes it
twice, with the same id, which every consumer's inbox knows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from datapunk import cache as redis_cache
from datapunk.broker import publish
from datapunk.context import remaining_seconds
from datapunk.events import CloudEvent, event_message
from datapunk.identity import PUBLIC_TENANT, Caller
from datapunk.registry.model import PLATFORM, Document
from datapunk.registry.store import key, tenants

REGISTERED = "service.registered"
DEREGISTERED = "service.deregistered"
HEALTH_CHANGED = "service.health.changed"
SOURCE = "/nexus/registry"

_AT_ONCE = 100
_RESERVE = 3.0
_LONGEST_REASON = 1_024


def publish_changes() -> int:
    """Publish what has happened, oldest first for each tenant, and return how many events that were.

    Raises UnavailableError when Redis or the broker does not answer; what was confirmed before stays
    published. May run at once in several environments: then some are published twice, with the same id.
    """
    return sum(_publish_of(tenant) for tenant in tenants())


def _publish_of(tenant: str) -> int:
    total = 0
    stream = key(tenant, "changes")
    while remaining_seconds() > _RESERVE:
        with redis_cache.translated():
            entries: Any = redis_cache.client().xrange(stream, count=_AT_ONCE)
        if not entries:
            break
        # The platform's own services are everybody's matter, and so is what happens to them.
        owner = Caller("service:nexus", PUBLIC_TENANT if tenant == PLATFORM else tenant)
        events = (_event(tenant, name, fields).signed_by(owner) for name, fields in entries)
        publish([event_message(event) for event in events])
        with redis_cache.translated():
            redis_cache.client().xdel(stream, *(name for name, _ in entries))
        total += len(entries)
    return total


def _event(tenant: str, name: str, fields: dict[str, str]) -> CloudEvent:
    document = Document.model_validate_json(fields["instance"])
    return CloudEvent(
        id=f"{tenant}/{name}",
        source=SOURCE,
        type=fields["event"],
        subject=document.service,
        time=datetime.fromtimestamp(int(fields["at"]) / 1000, UTC),
        datacontenttype="application/json",
        data={**_place(document), **_details(document, fields), "index": int(fields["index"])},
    )


def _place(document: Document) -> dict[str, Any]:
    return {
        "service": document.service,
        "instance": document.id,
        "kind": document.kind.value,
        "address": document.address,
        "port": document.port,
    }


def _details(document: Document, fields: dict[str, str]) -> dict[str, Any]:
    reason = fields["reason"][:_LONGEST_REASON]
    if fields["event"] == REGISTERED:
        return {
            "tags": list(document.tags),
            "weight": document.weights.passing,
            "status": fields["after"],
        }
    if fields["event"] == DEREGISTERED:
        return {"reason": reason}
    return {"before": fields["before"], "after": fields["after"], "reason": reason}
