"""GET /.well-known/openid-configuration and /.well-known/oauth-authorization-server: what we offer."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.oauth.metadata import issuer_metadata

app, handler = http_function("nexus.describe_issuer", guard=Guard(limited=False))
_CACHE = {"Cache-Control": "public, max-age=300"}


@app.get("/.well-known/openid-configuration", tags=["nexus"])
def describe_openid_provider() -> Response[dict[str, Any]]:
    """Return the metadata of the OpenID provider (OpenID Connect Discovery 1.0)."""
    return _metadata()


@app.get("/.well-known/oauth-authorization-server", tags=["nexus"])
def describe_authorization_server() -> Response[dict[str, Any]]:
    """Return the metadata of the authorization server (RFC 8414)."""
    return _metadata()


def _metadata() -> Response[dict[str, Any]]:
    return Response(
        status_code=200,
        content_type="application/json",
        body=issuer_metadata(),
        headers=dict(_CACHE),
    )
