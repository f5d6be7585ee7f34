"""Answer a message with the event it came in."""

import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    if "fail" in (event.get("body") or ""):
        raise RuntimeError("asked to")
    return {"statusCode": 200, "body": json.dumps(event)}
