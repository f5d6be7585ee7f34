"""Say who has left."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    print(f"left {event['requestContext']['connectionId']}")
