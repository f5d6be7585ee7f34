"""GitHub's dialect: OAuth 2.0 without an ID token; who someone is, its API tells."""

from __future__ import annotations

from typing import Any

from datapunk.errors import UnauthenticatedError
from datapunk.nexus.federation.fetching import RefusedError, fetch
from datapunk.nexus.federation.identity import ProvidedIdentity
from datapunk.nexus.federation.providers import Provider


def authorization_endpoint(provider: Provider) -> str:
    """Return where people sign in at GitHub."""
    return f"{provider.issuer}/login/oauth/authorize"


def identify(provider: Provider, *, code: str, verifier: str) -> ProvidedIdentity:
    """Exchange an authorization code and return whom the access token belongs to.

    The token is used for these questions only and kept nowhere. Raises UnauthenticatedError when GitHub
    does not take the code, UnavailableError when it does not answer.
    """
    form = {
        "client_id": provider.client_id,
        "client_secret": provider.client_secret.get_secret_value(),
        "code": code,
        "redirect_uri": provider.redirect_uri,
        "code_verifier": verifier,
    }
    try:
        # A refused code is answered with 200 and an error.
        answer = fetch(provider.name, f"{provider.issuer}/login/oauth/access_token", form=form)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise _refused(provider)
        user = fetch(provider.name, f"{provider.api}/user", bearer=token)
        emails = fetch(provider.name, f"{provider.api}/user/emails", bearer=token)
    except RefusedError as error:
        raise _refused(provider) from error
    if not isinstance(user, dict) or not isinstance(user.get("id"), int):
        raise _refused(provider)
    email, verified = _primary(emails)
    return ProvidedIdentity(
        provider=provider.name,
        issuer=provider.issuer,
        # Login names change hands, ids do not.
        subject=str(user["id"]),
        email=email,
        email_verified=verified,
        name=str(user.get("name") or user.get("login") or ""),
    )


def _primary(emails: Any) -> tuple[str, bool]:
    """Return the primary address and whether it is verified. The profile's public address is neither."""
    for item in emails if isinstance(emails, list) else ():
        if isinstance(item, dict) and item.get("primary") is True:
            return str(item.get("email") or "").lower(), item.get("verified") is True
    return "", False


def _refused(provider: Provider) -> UnauthenticatedError:
    return UnauthenticatedError(f"{provider.label} did not accept the sign-in.")
