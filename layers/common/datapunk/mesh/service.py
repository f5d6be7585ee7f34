"""What a module answers: its operations by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datapunk.database import Transaction

if TYPE_CHECKING:  # imported on first use
    from google.protobuf.message import Message

Implementation = Callable[[Transaction, Any], "Message"]
"""What an operation does: takes the transaction and the request's message, returns the response's."""


@dataclass(frozen=True, slots=True)
class Service:
    """A module's operations. `afterwards` runs when the change of a call is committed."""

    name: str
    operations: Mapping[str, Implementation]
    afterwards: Callable[[], None] | None = None
