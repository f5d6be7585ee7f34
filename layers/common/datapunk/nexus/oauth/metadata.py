"""What the server can do, for clients that configure themselves (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from typing import Any

from datapunk.nexus.keys import ALGORITHM
from datapunk.nexus.oauth.authorization import AUTHORIZE_PATH
from datapunk.nexus.oauth.clients import GrantType
from datapunk.nexus.oauth.parameters import SCOPES
from datapunk.settings import settings

_WITH_SECRET = ["client_secret_basic", "client_secret_post"]


def issuer_metadata() -> dict[str, Any]:
    """Return the metadata document, the same for OAuth and OpenID Connect."""
    issuer = settings().issuer
    oauth = f"{issuer}/v1/nexus/oauth"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE_PATH}",
        "token_endpoint": f"{oauth}/token",
        "userinfo_endpoint": f"{oauth}/userinfo",
        "introspection_endpoint": f"{oauth}/introspect",
        "revocation_endpoint": f"{oauth}/revoke",
        "end_session_endpoint": f"{oauth}/logout",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [str(grant) for grant in GrantType],
        "token_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
        "introspection_endpoint_auth_methods_supported": _WITH_SECRET,
        "revocation_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid"),
            *("name", "updated_at", "email", "email_verified"),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "service_documentation": f"{issuer}/docs",
    }
