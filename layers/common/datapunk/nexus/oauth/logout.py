"""Signing out at a client's request (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from datapunk.audit import announce
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.authorization import with_parameters
from datapunk.nexus.oauth.clients import find_client
from datapunk.nexus.oauth.grants import revoke_session_grants
from datapunk.nexus.oauth.id_tokens import read_id_token_hint
from datapunk.nexus.oauth.parameters import read_query, required
from datapunk.nexus.sessions import end_session, read_session
from datapunk.oauth.errors import OAuthError

_USER = "user:"


def log_out(query: Mapping[str, Sequence[str]], cookie: str | None) -> str | None:
    """End the session that an ID token was issued in, with all tokens of it; return where to go then.

    The ID token proves that the request comes from a client of the user: without one any page could sign
    a visitor out. Raises OAuthError when it is not ours, or the address is not registered for it.
    """
    parameters = read_query(query)
    claims = read_id_token_hint(required(parameters, "id_token_hint"))
    if claims is None or parameters.get("client_id", claims["aud"]) != claims["aud"]:
        raise OAuthError("invalid_request", "The id_token_hint is none of the client's.")
    target = parameters.get("post_logout_redirect_uri")
    user_id = UUID(str(claims["sub"]).removeprefix(_USER))
    session_id = claims.get("sid")
    if session_id is None:
        session = read_session(cookie) if cookie else None
        session_id = session.id if session and session.user_id == user_id else None
    with transaction(SYSTEM) as tx:
        client = find_client(tx, str(claims["aud"]))
        if target and (client is None or target not in client.post_logout_redirect_uris):
            raise OAuthError("invalid_request", "The address to go to is not registered.")
    if session_id is not None:
        announce()
        with transaction(SYSTEM) as tx:
            revoke_session_grants(tx, session_id)
            # Before the commit: signed out is who has neither.
            end_session(user_id, session_id)
    if target is None:
        return None
    state = parameters.get("state")
    return with_parameters(target, {} if state is None else {"state": state})
