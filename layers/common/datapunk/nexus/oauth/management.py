"""Introspection (RFC 7662) and revocation (RFC 7009): what a token is worth, and making it worth nothing."""

from __future__ import annotations

from typing import Any

from datapunk.database import transaction
from datapunk.errors import UnauthenticatedError
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.clients import OAuthClient, authenticate_client
from datapunk.nexus.oauth.grants import revoke_grant, take_refresh_token
from datapunk.nexus.oauth.parameters import read_form, required
from datapunk.nexus.revocations import revoke, token_subject
from datapunk.nexus.sessions import is_live
from datapunk.nexus.tokens import AccessToken, read_access_token
from datapunk.settings import settings

_INACTIVE: dict[str, Any] = {"active": False}


def introspect_token(form: bytes, authorization: str | None) -> dict[str, Any]:
    """Return what a token says if it is good and of the client's tenant; else only that it is not.

    A refresh token is told to its own client only. Raises OAuthError for a client that did not prove
    itself.
    """
    parameters = read_form(form)
    client = authenticate_client(authorization, parameters, public=False)
    token = required(parameters, "token")
    found = _access_token(token)
    if found is not None:
        foreign = found.caller.tenant != client.tenant
        return dict(_INACTIVE) if foreign else _described(found)
    return _refresh_token(client, token)


def revoke_token(form: bytes, authorization: str | None) -> None:
    """Revoke a token of the client, and with a refresh token all that came from its grant.

    An unknown token, or another client's, is no error and changes nothing (RFC 7009, 2.2). Raises
    OAuthError for a client that did not prove itself.
    """
    parameters = read_form(form)
    client = authenticate_client(authorization, parameters)
    token = required(parameters, "token")
    found = _access_token(token)
    with transaction(SYSTEM) as tx:
        if found is not None:
            if found.client_id == client.id:
                # What was exchanged for it names it as an ancestor and goes with it.
                revoke(tx, token_subject(found.token_id))
            return
        grant = take_refresh_token(tx, token)
        if grant is not None and grant.client_id == client.id:
            revoke_grant(tx, grant.grant_id)


def _access_token(token: str) -> AccessToken | None:
    try:
        return read_access_token(token)
    except UnauthenticatedError:
        return None


def _described(token: AccessToken) -> dict[str, Any]:
    return {**(token.claims or {}), "active": True, "token_type": "Bearer"}


def _refresh_token(client: OAuthClient, token: str) -> dict[str, Any]:
    with transaction(SYSTEM) as tx:
        grant = take_refresh_token(tx, token)
    if grant is None or grant.used or not grant.good or grant.client_id != client.id:
        return dict(_INACTIVE)
    if grant.session_id and not is_live(grant.session_id):
        return dict(_INACTIVE)
    return {
        "active": True,
        "iss": settings().issuer,
        "sub": grant.principal,
        "client_id": grant.client_id,
        "scope": " ".join(grant.scopes),
        "tenant": grant.tenant,
        "exp": grant.expires_at,
    }
