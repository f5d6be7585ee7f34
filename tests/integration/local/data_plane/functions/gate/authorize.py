"""Decide by the token, and count the calls in the log."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    token = event.get("authorizationToken")
    if token is None:
        headers = event.get("headers") or {}
        query = event.get("queryStringParameters") or {}
        token = headers.get("X-Token") or query.get("token") or ""
    print(f"authorizing {token}")  # noqa: T201 - the log is what is tested
    if token == "nobody":
        raise Exception("Unauthorized")  # noqa: TRY002 - the very words that refuse a caller
    if token == "crash":
        raise RuntimeError("the directory is down")
    if token == "shapeless":
        return {"allow": True}
    statements = {
        "allow": [("Allow", event["methodArn"])],
        "deny": [("Allow", "*"), ("Deny", event["methodArn"])],
        "reader": [("Allow", event["methodArn"].split("/")[0] + "/*/GET/*")],
    }.get(token, [("Allow", "arn:aws:execute-api:us-east-1:000000000000:other/*")])
    return {
        "principalId": f"user-{token}",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
                for effect, resource in statements
            ],
        },
        "context": {"number": 7, "flag": True, "kind": event["type"]},
    }
