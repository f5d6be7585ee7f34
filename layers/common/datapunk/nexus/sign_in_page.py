"""The page on which people sign in: one form, the providers that are configured, no script."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode, urlsplit

from datapunk.cookies import read_cookie, set_cookie
from datapunk.errors import ForbiddenError

CSRF = "csrf"
_CSRF_SECONDS = 3600
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:12vh auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}h1{font-size:1.4rem}label{display:block;margin-top:1rem}"
    "input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;border:1px solid #8a939d;"
    "border-radius:4px}button,a.provider{display:block;box-sizing:border-box;width:100%;font:inherit;"
    "margin-top:1rem;padding:.6rem;border:1px solid #0b5cad;border-radius:4px;text-align:center;"
    "text-decoration:none;cursor:pointer}button{background:#0b5cad;color:#fff}a.provider{color:#0b5cad}"
    ".error{color:#a40e26;margin:1rem 0 0}"
)
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    # No form-action: browsers would apply it to where a client is led after sign-in, which is elsewhere.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The form's Origin header stays; no other site learns what stands in the address.
    "Referrer-Policy": "same-origin",
}


def new_csrf_token() -> str:
    """Return a token that ties a form to the browser that it is sent to."""
    return secrets.token_urlsafe(32)


def page_headers(csrf_token: str) -> dict[str, str | list[str]]:
    """Return the page's headers; one keeps the form's token in the browser for an hour."""
    cookie = set_cookie(csrf_token, seconds=_CSRF_SECONDS, purpose=CSRF)
    return {**_HEADERS, "Set-Cookie": [cookie]}


def redirect_headers(location: str, *cookies: str) -> dict[str, str | list[str]]:
    """Return the headers that lead a browser on with these cookies, and end the form's token."""
    kept = [*cookies, set_cookie("", seconds=0, purpose=CSRF)]
    return {"Location": location, "Set-Cookie": kept, "Cache-Control": "no-store"}


def check_form_is_ours(
    token: str | None, *, cookies: str | None, origin: str | None, host: str | None
) -> None:
    """Raise ForbiddenError unless a form came from our page in the same browser.

    The token in the form must be the cookie's, which no other site can read or set; and where the browser
    names the origin of the form, it must be this host.
    """
    kept = read_cookie(cookies, CSRF)
    if not token or not kept or not hmac.compare_digest(token.encode(), kept.encode()):
        raise ForbiddenError("The form is too old or from elsewhere: open the sign-in page again.")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ForbiddenError("The form was sent by another site.")


def sign_in_page(
    *,
    csrf_token: str,
    return_to: str,
    providers: Sequence[tuple[str, str]] = (),
    email: str = "",
    error: str = "",
) -> str:
    """Return the page; `providers` are names and labels of other places to sign in with."""
    query = urlencode({"return_to": return_to})
    links = "".join(
        f'<a class="provider" href="sign-in/{escape(name)}?{escape(query)}">'
        f"Continue with {escape(label)}</a>"
        for name, label in providers
    )
    told = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sign in · Datapunk</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>Sign in to Datapunk</h1>{told}<form method="post" action="sign-in">'
        f'<input type="hidden" name="csrf_token" value="{escape(csrf_token)}">'
        f'<input type="hidden" name="return_to" value="{escape(return_to)}">'
        '<label for="email">E-mail address</label><input id="email" name="email" type="email" '
        f'autocomplete="username" maxlength="254" required autofocus value="{escape(email)}">'
        '<label for="password">Password</label><input id="password" name="password" '
        'type="password" autocomplete="current-password" maxlength="256" required>'
        f'<button type="submit">Sign in</button></form>{links}</main></body></html>'
    )
