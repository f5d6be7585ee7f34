"""Hold an environment for as long as the event says."""

import os
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    query = event.get("queryStringParameters") or {}
    time.sleep(float(query.get("seconds", event.get("seconds", 0.2))))
    return {"statusCode": 200, "body": str(os.getpid())}
