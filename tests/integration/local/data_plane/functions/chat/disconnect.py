"""Say who has left."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    print(f"left {event['requestContext']['connectionId']}")  # noqa: T201 - the log is what is tested
