"""Requests and answers between the gateway and a service, in no transport's words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from datapunk.nexus.routing.rules import READING

MOST_BYTES = 6 * 1024 * 1024
"""Bytes of a request or an answer: Lambda's limit for both."""
MOST_BINARY = 4_700_000
"""Bytes of a body that is no text: it travels in base64, with the headers, within `MOST_BYTES`."""

Headers = Sequence[tuple[str, str]]
"""Names in lower case; a name may be there more than once."""
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a service. The path is encoded, the query decoded."""

    method: str
    path: str
    query: Query = ()
    headers: Headers = ()
    body: bytes = b""

    @property
    def target(self) -> str:
        """Return path and query as they stand in a request line."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing."""
        return self.method in READING

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again: it reads, or the service knows it by its key."""
        return self.reads or bool(self.header("idempotency-key"))

    def header(self, name: str) -> str:
        """Return a header's values, joined by commas; empty when it is not there."""
        return join(self.headers, name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Headers that the router adds, such as `X-Cache`."""

    @property
    def good(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- what 2xx means

    def header(self, name: str) -> str:
        """Return a header's values, joined by commas; empty when it is not there."""
        return join(self.headers, name)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {
            "status": self.status,
            "headers": [list(pair) for pair in self.headers],
            "body": base64.b64encode(self.body).decode(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Answer:
        """Return the answer that `to_json` wrote."""
        return cls(
            int(document["status"]),
            [(str(name), str(value)) for name, value in document["headers"]],
            base64.b64decode(document["body"]),
        )


def join(headers: Headers, name: str) -> str:
    """Return the values of a header, joined by commas."""
    return ", ".join(value for key, value in headers if key == name)
