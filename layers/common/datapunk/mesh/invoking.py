"""Connect over `lambda:Invoke`: the way between functions. IAM says who may call, nothing else is asked.

The request is signed here and sent over a kept connection: boto3's client would take as long to import and to
read Lambda's API model as the rest of a cold start, and its time limit is the client's, where each call has
its own.

Sources: "Invoke" of the AWS Lambda API reference; "Create a signed AWS API request" of the IAM user guide.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.mesh.contract import PROTO
from datapunk.mesh.faults import from_connect
from datapunk.mesh.wire import RPC, Call, NotServedError, post
from datapunk.settings import settings

_OK = 200
_UNSUPPORTED = 415


def send(call: Call) -> bytes:
    """Return the response's message; see `Transport`."""
    service = call.method.service
    url, headers, payload = _request(call)
    answer = post(url, payload, headers, call.timeout, service)
    if answer.status != _OK or "x-amz-function-error" in answer.headers:
        # Throttled, failed before the edge, not there: whatever it is, the function has not answered.
        raise UnavailableError(service, f"{service} could not be invoked ({answer.status}).")
    said = orjson.loads(answer.data)
    body = str(said["body"])
    content = base64.b64decode(body) if said["isBase64Encoded"] else body.encode()
    if said["statusCode"] == _UNSUPPORTED:
        raise NotServedError(service)
    if said["statusCode"] != _OK:
        raise from_connect(service, int(said["statusCode"]), content)
    return content


def event_of(call: Call) -> dict[str, Any]:
    """Return the event that the callee's function gets."""
    binary = call.media_type == PROTO
    body = base64.b64encode(call.content).decode() if binary else call.content.decode()
    return {
        RPC: {"caller": call.caller.as_document(), "deadline": time.time() + call.timeout},
        "httpMethod": "POST",
        "path": call.method.path,
        "headers": {**call.headers, "content-type": call.media_type},
        "body": body,
        "isBase64Encoded": binary,
    }


@dataclass(frozen=True, slots=True)
class Keys:
    """AWS credentials. `token` is empty for those that do not expire."""

    identifier: str
    secret: str
    token: str = ""


def signed(url: str, payload: bytes, keys: Keys, region: str, at: datetime) -> dict[str, str]:
    """Return the headers of a signed POST of JSON to Lambda (Signature Version 4)."""
    moment, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    parts = urlsplit(url)
    headers = {
        "content-type": "application/json",
        "host": parts.netloc,
        "x-amz-date": moment,
        **({"x-amz-security-token": keys.token} if keys.token else {}),
    }
    names = ";".join(headers)
    canonical = "\n".join(
        [
            "POST",
            # What is percent-encoded in the path is encoded once more.
            quote(parts.path, safe="/-_.~"),
            "",
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            hashlib.sha256(payload).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/lambda/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.identifier}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return headers


def _request(call: Call) -> tuple[str, dict[str, str], bytes]:
    function = quote(call.address.removeprefix("lambda:"), safe="")
    region = settings().region
    host = settings().lambda_url or f"https://lambda.{region}.amazonaws.com"
    url = f"{host.rstrip('/')}/2015-03-31/functions/{function}/invocations"
    payload = orjson.dumps(event_of(call))
    return url, signed(url, payload, _keys(), region, datetime.now(UTC)), payload


def _keys() -> Keys:
    """Return the function's own credentials, which Lambda puts into its environment."""
    environment = os.environ
    if "AWS_ACCESS_KEY_ID" in environment and "AWS_SECRET_ACCESS_KEY" in environment:
        return Keys(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN", ""),
        )
    from botocore.session import Session

    found = Session().get_credentials()
    if found is None:
        raise ConfigurationError("There are no AWS credentials to invoke functions with.")
    frozen = found.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token or "")
