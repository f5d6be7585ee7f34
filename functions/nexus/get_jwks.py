"""GET /.well-known/jwks.json: the public keys that verify the platform's tokens."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.keys import public_jwks

app, handler = http_function("nexus.get_jwks", guard=Guard(limited=False))


@app.get("/.well-known/jwks.json", tags=["nexus"])
def get_jwks() -> Response[dict[str, Any]]:
    """Return the key set (RFC 7517). A key is in it long before it signs and as long as it is needed."""
    return Response(
        status_code=200,
        content_type="application/json",
        body=public_jwks(),
        headers={"Cache-Control": "public, max-age=300"},
    )
