"""The token endpoint (RFC 6749, 3.2): four grants, each with its own proof."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from datapunk.database import Transaction, transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.oauth.clients import (
    GrantType,
    OAuthClient,
    authenticate_client,
    client_caller,
)
from datapunk.nexus.oauth.exchange import exchange_token
from datapunk.nexus.oauth.grants import (
    Grant,
    issue_refresh_token,
    revoke_grant,
    take_code,
    take_refresh_token,
    use_code,
    use_refresh_token,
)
from datapunk.nexus.oauth.id_tokens import issue_id_token
from datapunk.nexus.oauth.parameters import (
    OWN_SCOPES,
    read_form,
    requested_scopes,
    required,
)
from datapunk.nexus.roles import scopes_of
from datapunk.nexus.sessions import is_live
from datapunk.nexus.tokens import IssuedToken, issue_access_token
from datapunk.nexus.users import find_caller
from datapunk.oauth.errors import OAuthError
from datapunk.oauth.pkce import challenge_of

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
Parameters = Mapping[str, str]


def issue_token(form: bytes, authorization: str | None) -> IssuedToken:
    """Answer a token request: a form, and the `Authorization` header where there is one.

    Raises OAuthError; UnavailableError when the database, Redis or the key ring does not answer.
    """
    parameters = read_form(form)
    client = authenticate_client(authorization, parameters)
    try:
        grant_type = GrantType(required(parameters, "grant_type"))
    except ValueError:
        raise OAuthError("unsupported_grant_type", "This grant type is not offered.") from None
    client.require(grant_type)
    return _GRANTS[grant_type](client, parameters)


def _from_code(client: OAuthClient, parameters: Parameters) -> IssuedToken:
    code = required(parameters, "code")
    redirect_uri = required(parameters, "redirect_uri")
    verifier = required(parameters, "code_verifier")
    with transaction(SYSTEM) as tx:
        grant = take_code(tx, code)
        user = None
        refresh = None
        if grant is not None and grant.used:
            revoke_grant(tx, grant.grant_id)
        elif grant is not None:
            # Also after a failed attempt: whoever has the code but not the verifier gets no second try.
            use_code(tx, code)
            fits = (
                grant.good
                and grant.client_id == client.id
                and hmac.compare_digest(grant.redirect_uri.encode(), redirect_uri.encode())
                and _proves(verifier, grant.challenge)
            )
            user = _user(tx, grant) if fits else None
            if user and GrantType.REFRESH_TOKEN in client.grant_types:
                refresh = issue_refresh_token(tx, grant.grant_id)
    if grant is None or user is None:
        raise OAuthError("invalid_grant", "The code is not good, or not for this request.")
    return _issued(user, client, grant, grant.scopes, refresh)


def _from_refresh_token(client: OAuthClient, parameters: Parameters) -> IssuedToken:
    token = required(parameters, "refresh_token")
    with transaction(SYSTEM) as tx:
        grant = take_refresh_token(tx, token)
        user = None
        scopes: Sequence[str] = ()
        refresh = None
        if grant is not None and (grant.used or grant.client_id != client.id):
            # Two hold it, or another than it was given to.
            revoke_grant(tx, grant.grant_id)
        elif grant is not None and grant.good:
            scopes = requested_scopes(parameters.get("scope"), grant.scopes)
            user = _user(tx, grant)
            if user is None:
                revoke_grant(tx, grant.grant_id)
            else:
                use_refresh_token(tx, token)
                refresh = issue_refresh_token(tx, grant.grant_id)
    if grant is None or user is None:
        raise OAuthError("invalid_grant", "The refresh token is not good any more.")
    return _issued(user, client, grant.model_copy(update={"nonce": None}), scopes, refresh)


def _from_credentials(client: OAuthClient, parameters: Parameters) -> IssuedToken:
    own = [scope for scope in client.scopes if scope in OWN_SCOPES]
    scopes = requested_scopes(parameters.get("scope"), own)
    if not scopes:
        raise OAuthError("invalid_scope", "The client has no scope to use in its own name.")
    with transaction(SYSTEM) as tx:
        caller = client_caller(tx, client)
    return issue_access_token(caller, client_id=client.id, scopes=scopes)


def _proves(verifier: str, challenge: str) -> bool:
    """Tell whether the verifier is the one whose digest was the challenge (RFC 7636, 4.6)."""
    if not _VERIFIER.match(verifier):
        return False
    return hmac.compare_digest(
        challenge_of(verifier).encode(), challenge.encode("ascii", "replace")
    )


def _user(tx: Transaction, grant: Grant) -> Caller | None:
    """Return the user who gave a grant, as he may act now; None when he or his session is gone."""
    if grant.session_id and not is_live(grant.session_id):
        return None
    return find_caller(tx, UUID(grant.principal.removeprefix("user:")))


def _issued(
    user: Caller, client: OAuthClient, grant: Grant, scopes: Sequence[str], refresh: str | None
) -> IssuedToken:
    held = scopes_of(user.roles)
    granted = [scope for scope in scopes if scope not in OWN_SCOPES or scope in held]
    token = issue_access_token(
        user,
        client_id=client.id,
        scopes=granted,
        session=grant.session_id,
        grant=grant.grant_id,
    )
    id_token = None
    if "openid" in granted:
        id_token = issue_id_token(
            user.principal,
            client.id,
            auth_time=grant.auth_time,
            nonce=grant.nonce,
            session_id=grant.session_id,
        )
    return token.model_copy(update={"refresh_token": refresh, "id_token": id_token})


_GRANTS: Mapping[GrantType, Callable[[OAuthClient, Parameters], IssuedToken]] = {
    GrantType.AUTHORIZATION_CODE: _from_code,
    GrantType.REFRESH_TOKEN: _from_refresh_token,
    GrantType.CLIENT_CREDENTIALS: _from_credentials,
    GrantType.TOKEN_EXCHANGE: exchange_token,
}
