"""Cookies that only this host sets and only its server reads.

Over HTTPS their names begin with `__Host-`, by which a browser refuses them from a subdomain, for another
path or without encryption (RFC 6265bis, 4.1.3.2). On a developer's machine the API speaks HTTP, where such a
name cannot be set.
"""

from __future__ import annotations

from datapunk.settings import settings


def cookie_name(purpose: str = "") -> str:
    """Return the name of the session's cookie, or of the one for another purpose."""
    name = f"datapunk-{purpose}" if purpose else "datapunk"
    return f"__Host-{name}" if _over_https() else name


def read_cookie(header: str | None, purpose: str = "") -> str | None:
    """Return a cookie's value from a `Cookie` header; None where it is missing or sent twice."""
    wanted = cookie_name(purpose)
    pairs = (item.partition("=") for item in (header or "").split(";"))
    values = [value.strip() for name, _, value in pairs if name.strip() == wanted]
    return values[0] if len(values) == 1 else None


def set_cookie(value: str, *, seconds: int, purpose: str = "") -> str:
    """Return the `Set-Cookie` header of a cookie that lives for `seconds`; 0 removes it.

    `Lax` lets a link from elsewhere lead to a signed-in page, and no form or script from elsewhere act.
    """
    secure = "; Secure" if _over_https() else ""
    name = cookie_name(purpose)
    return f"{name}={value}; Max-Age={seconds}; Path=/{secure}; HttpOnly; SameSite=Lax"


def _over_https() -> bool:
    return settings().issuer.startswith("https:")
