"""HTTP as a client sees it, and the shape that every error must have."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60.0
JSON = "application/json"
CSV = "text/csv"
NDJSON = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
MEMBERS = {
    *("type", "title", "status", "detail", "instance"),  # RFC 9457
    *("code", "action", "trace_id", "errors"),  # ours
}
INTERNALS = (
    "Traceback",
    "psycopg",
    "pydantic",
    "SELECT ",
    "INSERT ",
    "COPY ",
    'File "',
    "lake_data",
)
"""What an error must never let out."""


_TOKENS: dict[tuple[str, Callable[[], str]], str] = {}
"""The last token of each server and way to sign in there: a new connection is no new user."""
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Web:
    """A client of one HTTP server, a connection per request.

    With `sign_in`, requests without an `Authorization` of their own carry the token it returns. It is asked
    again when the token is refused: tokens end, and so do the keys of a platform that starts anew.
    """

    def __init__(self, url: str, sign_in: Callable[[], str] | None = None) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._sign_in = sign_in

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        media_type: str | None = None,
        **headers: str,
    ) -> Answer:
        """Send a request; a body that is neither bytes nor text is sent as JSON."""
        content: bytes | None = None
        if isinstance(body, bytes):
            content = body
        elif isinstance(body, str):
            content = body.encode()
        elif body is not None:
            content, media_type = json.dumps(body).encode(), media_type or JSON
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if media_type is not None:
            sent["Content-Type"] = media_type
        if self._sign_in is None or "Authorization" in sent:
            return self._send(method, path, content, sent)
        whose = (f"{self.host}:{self.port}", self._sign_in)
        known = _TOKENS.get(whose)
        if known is not None:
            answer = self._send(method, path, content, {**sent, "Authorization": known})
            if answer.status != _UNAUTHORIZED:
                return answer
        _TOKENS[whose] = f"Bearer {self._sign_in()}"
        return self._send(method, path, content, {**sent, "Authorization": _TOKENS[whose]})

    def _send(
        self, method: str, path: str, content: bytes | None, sent: Mapping[str, str]
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, content, dict(sent))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any, media_type: str | None = None, **headers: str) -> Answer:
        """Send a POST."""
        return self.call("POST", path, body, media_type, **headers)


def assert_problem(
    answer: Answer, status: int, *, field: str | None = None, extra: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Assert that `answer` is a problem document as all are, about `field`; return it."""
    assert answer.status == status, answer.body[:500]
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == MEMBERS | extra
    assert problem["status"] == status
    assert problem["type"] == f"urn:datapunk:error:{problem['code']}"
    for member in ("title", "detail", "instance", "action", "trace_id"):
        assert problem[member], member
    for error in problem["errors"]:
        assert set(error) == {"field", "message", "code"}
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], problem["errors"]
    text = answer.body.decode()
    assert not [word for word in INTERNALS if word in text], text
    return problem
