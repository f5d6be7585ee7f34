"""Running the real handlers the way Lambda does."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

from tests.support.lambda_context import LambdaContext
from tests.support.samples import handler_module, http_event, load_sample


@dataclass(frozen=True)
class Answer:
    """What an HTTP function answered; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, str]:
        """Field and code of each error of a problem document."""
        return {item["field"]: item["code"] for item in self.json["errors"]}


def run(operation: str, event: dict[str, Any], *, seconds: float = 30.0) -> Any:
    """Run an operation's handler with an event, `seconds` before its end."""
    handler = importlib.import_module(handler_module(operation)).handler
    return handler(event, LambdaContext(seconds))


def answer(operation: str, event: dict[str, Any], *, seconds: float = 30.0) -> Answer:
    """Run an HTTP function's handler and read its answer."""
    raw = run(operation, event, seconds=seconds)
    # API Gateway needs an integer status and a text body, whatever happens.
    assert isinstance(raw["statusCode"], int)
    assert isinstance(raw["body"], str)
    headers = {k.lower(): str(v) for k, v in (raw.get("headers") or {}).items()}
    headers |= {k.lower(): ", ".join(v) for k, v in raw["multiValueHeaders"].items()}
    return Answer(raw["statusCode"], headers, raw["body"])


class Invoker:
    """`invoke("lake.get_dataset", path={...})`: the sample with changes, run by the real handler."""

    def __call__(self, operation: str, *, seconds: float = 30.0, **changes: Any) -> Answer:
        return answer(operation, http_event(operation, **changes), seconds=seconds)

    def sample(self, operation: str) -> Any:
        """Run the handler with its sample as it is."""
        return run(operation, load_sample(operation))

    def event(self, operation: str, event: dict[str, Any]) -> Any:
        """Run the handler of a queue, schedule or deployment function."""
        return run(operation, event)
