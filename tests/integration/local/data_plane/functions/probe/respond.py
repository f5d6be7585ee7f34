"""Answer with the response the request's body holds."""

import base64
import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    body = event["body"]
    if event["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    return json.loads(body)
