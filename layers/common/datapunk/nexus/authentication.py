"""Who sends a request: the first credential it presents decides, in a fixed order.

A client certificate comes first, then a bearer token, an API key, a session's cookie. What is presented and
not valid is refused; no other credential of the same request is tried, so that nobody can mix two identities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datapunk.cookies import read_cookie
from datapunk.credentials import Presented
from datapunk.errors import UnauthenticatedError
from datapunk.identity import ANONYMOUS, SYSTEM, Caller
from datapunk.nexus.api_keys import find_api_key
from datapunk.nexus.certificates import caller_of_certificate
from datapunk.nexus.sessions import find_session
from datapunk.nexus.tokens import verify_access_token
from datapunk.settings import settings

_BEARER = "bearer"
_OWN_SITES = (None, "same-origin", "none")


def authenticate(presented: Presented) -> Caller:
    """Return whom the presented credential belongs to.

    Raises UnauthenticatedError when there is none or it is not valid, UnavailableError when that cannot be
    told for now.
    """
    caller = _caller(presented)
    if caller.tenant == SYSTEM.tenant or caller.principal in (ANONYMOUS, SYSTEM.principal):
        raise UnauthenticatedError("No credential speaks for the platform itself or for nobody.")
    return caller


def _caller(presented: Presented) -> Caller:
    if presented.certificate is not None:
        return _of_certificate(presented.certificate)
    if presented.authorization is not None:
        return verify_access_token(_bearer(presented.authorization))
    if presented.api_key is not None:
        return _of_api_key(presented.api_key)
    cookie = read_cookie(presented.cookies)
    if cookie is not None:
        return _of_session(cookie, presented)
    raise UnauthenticatedError("The request presents no credentials.")


def _of_api_key(key: str) -> Caller:
    caller = find_api_key(key)
    if caller is None:
        raise UnauthenticatedError("There is no such API key, or it works no more.")
    return caller


def _bearer(authorization: str) -> str:
    """Return the token of an `Authorization` header (RFC 6750, 2.1)."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != _BEARER or not token.strip():
        raise UnauthenticatedError("Authorization is not of the form `Bearer <token>`.")
    return token.strip()


def _of_certificate(certificate: Mapping[str, Any]) -> Caller:
    caller = caller_of_certificate(certificate)
    if caller is None:
        raise UnauthenticatedError("No service is known by this certificate.")
    return caller


def _of_session(cookie: str, presented: Presented) -> Caller:
    """Return the user of a session.

    A browser sends the cookie whoever makes it send the request: one that changes something must come from
    a page of our own.
    """
    if presented.changes:
        _check_site(presented)
    caller = find_session(cookie)
    if caller is None:
        raise UnauthenticatedError("There is no such session, or it has ended.")
    return caller


def _check_site(presented: Presented) -> None:
    """Raise UnauthenticatedError for what another site makes a browser send."""
    foreign = presented.origin is not None and presented.origin != _site(settings().issuer)
    if foreign or presented.fetch_site not in _OWN_SITES:
        raise UnauthenticatedError("A session's cookie does not change anything from another site.")


def _site(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
