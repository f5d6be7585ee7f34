"""End badly in the way the event asks for."""

import os
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    how = event.get("how") or (event.get("queryStringParameters") or {}).get("how")
    if how == "raise":
        raise LookupError("nothing there")
    if how == "sleep":
        time.sleep(event.get("seconds", 30))
    if how == "exit":
        os._exit(7)
    if how == "memory":
        block = bytearray(400 * 1024 * 1024)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(5)
    if how == "unserialisable":
        return {"value": object()}
    if how == "large":
        return "x" * (6 * 1024 * 1024 + 1)
    if how == "shape":
        return {"body": "no status"}
    if how == "text":
        return "just a text"
    if how == "body":
        return {"statusCode": 200, "body": {"not": "a string"}}
    return {"statusCode": 200, "body": f"survived {os.getpid()}"}
