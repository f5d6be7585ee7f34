"""The contracts of `events/protos`: which operations a service answers, and with which messages."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from datapunk.errors import (
    ConfigurationError,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
)

if TYPE_CHECKING:  # imported on first use: most functions neither call nor are called
    from google.protobuf.message import Message

Kind = TypeVar("Kind", bound="Message")
PROTO = "application/proto"
JSON = "application/json"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Method:
    """An operation as its contract has it. `safe` ones change nothing (`NO_SIDE_EFFECTS`)."""

    service: str
    operation: str
    path: str
    """Where Connect and gRPC serve it, e.g. `/datapunk.lake.v1.LakeService/GetDataset`."""
    request: type[Message]
    response: type[Message]
    safe: bool

    @property
    def name(self) -> str:
        """The operation's name through everything: `lake.get_dataset`."""
        return f"{self.service}.{self.operation}"


def find_method(service: str, operation: str) -> Method:
    """Return a service's operation. Raises ConfigurationError when no contract has it."""
    try:
        return _methods(service)[operation]
    except KeyError:
        raise ConfigurationError(f"No contract has the operation {service}.{operation}.") from None


def method_at(service: str, path: str) -> Method:
    """Return the operation of a service at a path. Raises NotFoundError when there is none."""
    for method in _methods(service).values():
        if path.endswith(method.path):
            return method
    raise NotFoundError(f"{service} answers no such call.")


def methods_of(service: str) -> list[Method]:
    """Return every operation of a service."""
    return list(_methods(service).values())


def encode(message: Message, media_type: str) -> bytes:
    """Return a message in its binary or its JSON form."""
    if media_type == PROTO:
        return message.SerializeToString()
    from google.protobuf.json_format import MessageToJson

    return MessageToJson(message, indent=None).encode()


def decode(kind: type[Message], content: bytes, media_type: str) -> Message:
    """Return the message in `content`. Raises MalformedRequestError when it holds another."""
    from google.protobuf.json_format import Parse, ParseError
    from google.protobuf.message import DecodeError

    try:
        if media_type == PROTO:
            return kind.FromString(content)
        return Parse(content, kind())
    except (DecodeError, ParseError, UnicodeDecodeError):
        raise MalformedRequestError(f"The message is no {kind.DESCRIPTOR.full_name}.") from None


def request_of(kind: type[Kind], members: Mapping[str, Any]) -> Kind:
    """Return a message of Python values: bytes as bytes, other messages as their members.

    Raises InvalidInputError for a member that the contract does not have or that is of another type.
    """
    try:
        return kind(**members)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"No {kind.DESCRIPTOR.full_name}: {error}.") from None


def message_of(kind: type[Kind], members: Mapping[str, Any]) -> Kind:
    """Return a message of JSON values: times and bytes as texts; null is left out.

    Raises InvalidInputError for a member that the contract does not have or that is of another type.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        return ParseDict(dict(members), kind())
    except ParseError as error:
        raise InvalidInputError(f"No {kind.DESCRIPTOR.full_name}: {error}.") from None


def members_of(message: Message) -> dict[str, Any]:
    """Return the members of a message that are set, named as in the contract."""
    from google.protobuf.json_format import MessageToDict

    return dict(MessageToDict(message, preserving_proto_field_name=True))


@cache
def _methods(service: str) -> dict[str, Method]:
    from google.protobuf.descriptor_pb2 import MethodOptions

    try:
        module = importlib.import_module(f"datapunk.mesh.generated.{service}_pb2")
    except ModuleNotFoundError:
        raise ConfigurationError(f"There is no contract of a service called {service}.") from None
    found = {}
    for contract in module.DESCRIPTOR.services_by_name.values():
        for method in contract.methods:
            operation = _CAPITAL.sub("_", method.name).lower()
            level = method.GetOptions().idempotency_level
            found[operation] = Method(
                service=service,
                operation=operation,
                path=f"/{contract.full_name}/{method.name}",
                request=getattr(module, method.input_type.name),
                response=getattr(module, method.output_type.name),
                safe=level == MethodOptions.NO_SIDE_EFFECTS,
            )
    return found
