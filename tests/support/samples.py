"""The event samples of `events/`, and what tests change in them."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
EVENTS = PROJECT / "events"
FUNCTIONS = PROJECT / "functions"

Query = Mapping[str, str | Sequence[str]]


def operations() -> list[str]:
    """Return every operation: `module.name` of each handler file."""
    return sorted(f"{place.parent.name}.{place.stem}" for place in _places())


def handler_file(operation: str) -> Path:
    """Return the file of an operation's handler; of a protocol's face it is `app.py` in its folder."""
    place = FUNCTIONS / operation.replace(".", "/")
    face = place / "app.py"
    return face if face.is_file() else place.with_suffix(".py")


def handler_module(operation: str) -> str:
    """Return the name under which an operation's handler is imported."""
    return ".".join(handler_file(operation).relative_to(FUNCTIONS).with_suffix("").parts)


def _places() -> Iterator[Path]:
    yield from FUNCTIONS.glob("*/*.py")
    yield from (file.parent for file in FUNCTIONS.glob("*/*/app.py"))


def load_sample(operation: str) -> dict[str, Any]:
    """Return the event sample of an operation."""
    sample: dict[str, Any] = json.loads(
        (EVENTS / f"{operation.replace('.', '/')}.json").read_text()
    )
    return sample


def http_operations() -> list[str]:
    """Return every operation that answers requests; an authorizer's event looks like one but is none."""
    samples = {operation: load_sample(operation) for operation in operations()}
    return [
        operation
        for operation, sample in samples.items()
        if "httpMethod" in sample and sample.get("type") != "REQUEST"
    ]


def http_event(  # noqa: PLR0913 -- a request has that many parts
    operation: str,
    *,
    method: str | None = None,
    resource: str | None = None,
    path: Mapping[str, str] | None = None,
    query: Query | None = None,
    body: str | bytes | Any = None,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    tenant: str | None = None,
    principal: str = "user:tester",
    roles: str = "editor",
    scopes: str = "read write",
) -> dict[str, Any]:
    """Return the operation's sample with another request in it; what is not given stays.

    A body that is neither text nor bytes is sent as JSON. `tenant` sets what an authorizer would.
    """
    event = copy.deepcopy(load_sample(operation))
    if method is not None:
        event["httpMethod"] = event["requestContext"]["httpMethod"] = method
    if resource is not None:
        event["resource"] = event["requestContext"]["resourcePath"] = resource
    if path is not None:
        event["pathParameters"] = dict(path)
        event["path"] = event["resource"]
        for name, value in path.items():
            event["path"] = event["path"].replace(f"{{{name}}}", value)
    if query is not None:
        many = {k: [v] if isinstance(v, str) else list(v) for k, v in query.items()}
        event["multiValueQueryStringParameters"] = many or None
        event["queryStringParameters"] = {k: v[-1] for k, v in many.items()} or None
    if body is not None:
        _set_body(event, body)
    changed = dict(headers or {})
    if content_type is not None:
        changed["Content-Type"] = content_type
    for name, value in changed.items():
        set_header(event, name, value)
    if tenant is not None:
        event["requestContext"]["authorizer"] = {
            "principalId": principal,
            "tenant": tenant,
            "roles": roles,
            "scopes": scopes,
        }
    return event


def _set_body(event: dict[str, Any], body: Any) -> None:
    if isinstance(body, bytes):
        event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
        return
    event["body"] = body if isinstance(body, str) else json.dumps(body)
    event["isBase64Encoded"] = False


def set_header(event: dict[str, Any], name: str, value: str) -> None:
    """Replace a header, whatever its case."""
    for member in ("headers", "multiValueHeaders"):
        kept = {k: v for k, v in event[member].items() if k.lower() != name.lower()}
        event[member] = {**kept, name: value if member == "headers" else [value]}


def rmq_event(
    queue: str, messages: Sequence[Mapping[str, Any]], *, redelivered: bool = False
) -> dict[str, Any]:
    """Return an `aws:rmq` event of messages with `body`, `message_id` and `headers`."""
    records = [
        {
            "basicProperties": {
                "contentType": message.get("content_type", "application/cloudevents+json"),
                "headers": {
                    name: {"bytes": list(value.encode())} if isinstance(value, str) else value
                    for name, value in message.get("headers", {}).items()
                },
                "deliveryMode": 2,
                "messageId": message.get("message_id"),
            },
            "redelivered": redelivered,
            "data": base64.b64encode(message["body"]).decode(),
        }
        for message in messages
    ]
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": "arn:aws:mq:us-east-1:000000000000:broker:datapunk:b-1",
        "rmqMessagesByQueue": {f"{queue}::/": records},
    }


def python_files() -> Iterator[Path]:
    """Yield every Python file of the project."""
    for top in ("benchmarks", "functions", "infrastructure", "layers", "tests"):
        yield from (PROJECT / top).rglob("*.py")
