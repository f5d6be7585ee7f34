"""CloudEvents out of HTTP requests, in the three modes of the HTTP protocol binding 1.0.2."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from datapunk.errors import FieldError, InvalidInputError, MalformedRequestError
from datapunk.events import BATCH, STRUCTURED, CloudEvent, Text
from datapunk.validation import field_errors

MAX_BATCH = 1000
_BINARY_PREFIX = "ce-"


class ReceivedEvent(CloudEvent):
    """An event from outside: what the platform would fill in for its own must be there."""

    specversion: Literal["1.0"]
    id: Text


class Accepted(BaseModel):
    """How many events were taken, and their ids in the order sent."""

    accepted: int
    ids: list[str]


def read_events(
    media_type: str, content: bytes, headers: Mapping[str, str]
) -> Sequence[CloudEvent]:
    """Return the events of a request: structured, batch, or binary (`ce-` headers).

    `application/json` with `ce-` headers is binary mode; without them an object is taken as one
    structured event and an array as a batch. Raises MalformedRequestError or InvalidInputError.
    """
    if media_type == STRUCTURED:
        return [_validated(content)]
    if media_type == BATCH:
        return _batch(content)
    attributes = {
        name[len(_BINARY_PREFIX) :].lower(): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_BINARY_PREFIX)
    }
    if attributes:
        return [_binary(attributes, media_type, content)]
    return _batch(content) if content.lstrip()[:1] == b"[" else [_validated(content)]


def _validated(content: bytes) -> ReceivedEvent:
    try:
        return ReceivedEvent.model_validate_json(content)
    except ValidationError as error:
        raise _refused(error) from None


def _batch(content: bytes) -> Sequence[ReceivedEvent]:
    try:
        events = TypeAdapter(list[ReceivedEvent]).validate_json(content)
    except ValidationError as error:
        raise _refused(error) from None
    if len(events) > MAX_BATCH:
        raise InvalidInputError(
            f"A batch may have {MAX_BATCH} events at most.",
            errors=[FieldError("(batch)", f"has {len(events)} events", "too_long")],
        )
    return events


def _binary(attributes: dict[str, str], media_type: str, content: bytes) -> ReceivedEvent:
    document: dict[str, Any] = {**attributes, "datacontenttype": media_type}
    if media_type == "application/json":
        try:
            document["data"] = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise MalformedRequestError(f"The event's data is not valid JSON: {error}.") from None
    else:
        document["data_base64"] = base64.b64encode(content).decode()
    try:
        return ReceivedEvent.model_validate(document)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> MalformedRequestError | InvalidInputError:
    found = error.errors(include_input=False, include_url=False)
    if found[0]["type"] == "json_invalid":
        return MalformedRequestError("The body is not valid JSON.")
    errors = field_errors(found)
    names = ", ".join(dict.fromkeys(item.field or "(event)" for item in errors))
    return InvalidInputError(f"Not valid: {names}.", errors=errors)
