"""Accept a connection, unless its query asks for a refusal."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    query = event.get("queryStringParameters") or {}
    if query.get("refuse"):
        return {"statusCode": int(query["refuse"])}
    if query.get("fail"):
        raise RuntimeError("cannot connect")
    return {"statusCode": 200}
