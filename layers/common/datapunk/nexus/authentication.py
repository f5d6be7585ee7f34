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
from datapunk.nexus.remembered import Memory
from datapunk.nexus.sessions import find_session
from datapunk.nexus.tokens import read_access_token
from datapunk.settings import settings

_BEARER = "bearer"
_OWN_SITES = (None, "same-origin", "none")
_memory = Memory()
"""What this environment knows of credentials."""


def authenticate(presented: Presented) -> Caller:
    """Return whom the presented credential belongs to.

    Raises UnauthenticatedError when there is none or it is not valid, UnavailableError when that cannot be
    told for now.
    """
    caller = _caller(presented)
    if caller.tenant == SYSTEM.tenant or caller.principal in (ANONYMOUS, SYSTEM.principal):
        raise UnauthenticatedError("No credential speaks for the platform itself or for nobody.")
    return caller


def forget() -> None:
    """Become an environment that remembers no credential."""
    _memory.forget()


def _caller(presented: Presented) -> Caller:
    """Return the caller as it is remembered or found out.

    Only whom a credential belongs to is remembered: what depends on the request is looked at before.
    """
    if presented.certificate is not None:
        certificate = presented.certificate
        # Nothing but the certificate itself is looked at.
        pem = str(certificate.get("clientCertPem"))
        return _memory.recall("certificate", pem, lambda: _of_certificate(certificate))
    if presented.authorization is not None:
        token = _bearer(presented.authorization)
        return _memory.recall("token", token, lambda: read_access_token(token).caller)
    if presented.api_key is not None:
        key = presented.api_key
        return _memory.recall("key", key, lambda: _of_api_key(key))
    cookie = read_cookie(presented.cookies)
    if cookie is not None:
        # A browser sends the cookie whoever makes it send the request: one that changes something must
        # come from a page of our own.
        if presented.changes:
            _check_site(presented)
        return _memory.recall("session", cookie, lambda: _of_session(cookie))
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


def _of_session(cookie: str) -> Caller:
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
