"""Token exchange (RFC 8693): a service acts for its caller, with less and for no longer, and is named.

What comes out is never more than what went in: the scopes asked for must be the subject's and the service's,
the life ends with the subject's token, and what revokes that revokes this.
"""

from __future__ import annotations

from collections.abc import Mapping

from datapunk.errors import ForbiddenError, UnauthenticatedError
from datapunk.nexus.oauth.clients import OAuthClient
from datapunk.nexus.oauth.parameters import OWN_SCOPES, requested_scopes, required
from datapunk.nexus.tokens import (
    AUDIENCE,
    AccessToken,
    IssuedToken,
    issue_access_token,
    read_access_token,
)
from datapunk.oauth.errors import OAuthError

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- the name of a kind
_KINDS = (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")


def exchange_token(client: OAuthClient, parameters: Mapping[str, str]) -> IssuedToken:
    """Return a token for the subject with the client as the nearest actor. Raises OAuthError."""
    if parameters.get("audience", AUDIENCE) != AUDIENCE or "resource" in parameters:
        raise OAuthError("invalid_target", f"Tokens are for the audience {AUDIENCE} only.")
    if parameters.get("requested_token_type", ACCESS_TOKEN) not in _KINDS:
        raise OAuthError("invalid_request", "Only access tokens are issued.")
    subject = _read(parameters, "subject")
    if subject.caller.tenant != client.tenant:
        raise OAuthError("invalid_grant", "The subject token is of another tenant.")
    if "actor_token" in parameters:
        # The actor is whoever proved to be the client; a token may only confirm that.
        actor = _read(parameters, "actor")
        if actor.caller.principal != client.principal:
            raise OAuthError("invalid_grant", "The actor token is not the client's.")
    elif "actor_token_type" in parameters:
        raise OAuthError("invalid_request", "There is an actor_token_type without a token.")
    both = [
        scope for scope in OWN_SCOPES if scope in subject.caller.scopes and scope in client.scopes
    ]
    scopes = requested_scopes(parameters.get("scope"), both)
    if not scopes:
        raise OAuthError("invalid_scope", "Subject and client have no scope in common.")
    try:
        token = issue_access_token(
            subject.caller,
            client_id=client.id,
            scopes=scopes,
            actor=client.principal,
            parent=subject,
        )
    except ForbiddenError as error:
        raise OAuthError("invalid_grant", error.detail) from None
    return token.model_copy(update={"issued_token_type": ACCESS_TOKEN})


def _read(parameters: Mapping[str, str], role: str) -> AccessToken:
    token = required(parameters, f"{role}_token")
    if required(parameters, f"{role}_token_type") not in _KINDS:
        raise OAuthError("invalid_request", f"The {role}_token must be an access token.")
    try:
        return read_access_token(token)
    except UnauthenticatedError:
        raise OAuthError("invalid_grant", f"The {role} token is not valid.") from None
