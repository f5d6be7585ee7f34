"""Events: CloudEvents 1.0 in JSON. The one way to publish them is the outbox (`datapunk.outbox`)."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from datapunk.broker import Message
from datapunk.broker.topology import EVENTS
from datapunk.context import carried_headers
from datapunk.identity import Caller

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_CONTROL = re.compile(r"[\x00-\x1f]")
_EXTENSION = re.compile(r"[a-z0-9]{1,20}\Z")
_TYPE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
"""The type is the routing key, so its words are separated by dots and it fits AMQP's 255 bytes."""

Text = Annotated[str, Field(min_length=1, max_length=1024)]


def _now() -> datetime:
    return datetime.now(UTC)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))


class CloudEvent(BaseModel):
    """An event (CloudEvents 1.0.2). Extension attributes are kept as extra fields."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"] = "1.0"
    id: Text = Field(default_factory=lambda: str(uuid.uuid4()))
    source: Text
    type: str = Field(pattern=_TYPE)
    subject: Text | None = None
    time: AwareDatetime = Field(default_factory=_now)
    datacontenttype: Text | None = None
    dataschema: Text | None = None
    data: Any = None
    data_base64: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> CloudEvent:
        if self.data is not None and self.data_base64 is not None:
            raise ValueError("an event has data or data_base64, not both")
        return self

    @field_validator("id", "source", "subject", "datacontenttype", "dataschema")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        """Refuse characters neither CloudEvents nor PostgreSQL have room for."""
        if value is not None and _CONTROL.search(value):
            raise ValueError("must not contain control characters")
        return value

    @field_validator("data")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        """Refuse numbers JSON has no way to write: they would leave as null."""
        if not _finite(value):
            raise ValueError("must not contain NaN or numbers beyond 64-bit floating point")
        return value

    @field_validator("data_base64")
    @classmethod
    def _is_base64(cls, value: str | None) -> str | None:
        try:
            base64.b64decode(value or "", validate=True)
        except ValueError:
            raise ValueError("must be base64 with its padding (RFC 4648, 4)") from None
        return value

    @model_validator(mode="after")
    def _extensions_are_named_right(self) -> CloudEvent:
        for name, value in (self.model_extra or {}).items():
            if not _EXTENSION.match(name):
                raise ValueError(f"{name[:20]!r} is no extension attribute name: use a-z and 0-9")
            if not isinstance(value, str | int | bool):
                raise ValueError(  # noqa: TRY004 -- pydantic turns a ValueError into a field error
                    f"the extension attribute {name} must be text, integer or boolean"
                )
            if isinstance(value, str) and _CONTROL.search(value):
                raise ValueError(
                    f"the extension attribute {name} must not contain control characters"
                )
        return self

    @property
    def extensions(self) -> dict[str, str | int | bool]:
        """The extension attributes."""
        return dict(self.model_extra or {})

    @property
    def message_id(self) -> str:
        """Digest of source and id, which CloudEvents makes unique together, within a tenant.

        Without the tenant anybody could make consumers take another tenant's event for a duplicate.
        """
        tenant = self.extensions.get("tenant", "")
        return hashlib.sha256(f"{tenant}\n{self.source}\n{self.id}".encode()).hexdigest()

    def signed_by(self, caller: Caller) -> CloudEvent:
        """Return a copy that carries the caller, the trace and the correlation.

        The tenant and the principal are always the caller's: nobody publishes for another tenant.
        """
        carried = {**carried_headers(), **self.extensions}
        carried.update(tenant=caller.tenant, principal=caller.principal)
        return self.model_copy(update=carried)

    def to_json(self) -> bytes:
        """Return the structured JSON form; absent attributes are left out."""
        return self.model_dump_json(exclude_none=True).encode()


def event_message(event: CloudEvent) -> Message:
    """Return the broker message of an event: routed by its type on `service.events`."""
    headers: dict[str, Any] = {
        name: str(event.extensions[name])
        for name in ("traceparent", "correlationid", "tenant", "principal")
        if name in event.extensions
    }
    return Message(
        exchange=EVENTS,
        routing_key=event.type,
        body=event.to_json(),
        message_id=event.message_id,
        content_type=STRUCTURED,
        headers=headers,
    )
