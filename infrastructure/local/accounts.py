"""The two users every instance has, and tokens for them by the same way that any program takes.

Their passwords are random and kept with the instance's other secrets. A token comes from the authorization
endpoint: sign in on the page, authorization code, PKCE, token endpoint.
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from infrastructure.local.state import State

CLIENT_ID = "datapunk-cli"
CALLBACK = "http://127.0.0.1/callback"
TIMEOUT = 30.0
_FIELD = re.compile(r'name="(?P<name>csrf_token|return_to)" value="(?P<value>[^"]*)"')
_SEE_OTHER = range(300, 400)


class SignInError(Exception):
    """No token could be had; the message says at which step and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this instance. `scopes` are all that his roles allow."""

    name: str
    role: str
    scopes: str

    @property
    def email(self) -> str:
        """The address he signs in with; the domain is one that can never exist (RFC 6761)."""
        return f"{self.name}@datapunk.test"


ACCOUNTS = {
    account.name: account
    for account in (
        Account("admin", "admin", "read write admin"),
        Account("demo", "editor", "read write"),
    )
}


def password_of(state: State, name: str) -> str:
    """Return the password of an account; a random one is made at the first call."""
    return state.password(f"user {name}")


def wanted_user(state: State, account: Account) -> dict[str, Any]:
    """Return what `nexus.ensure_user` is asked for."""
    return {
        "email": account.email,
        "name": account.name.capitalize(),
        "password": password_of(state, account.name),
        "roles": [account.role],
    }


def wanted_client() -> dict[str, Any]:
    """Return what `nexus.ensure_client` is asked for: the launcher as a client, without a secret."""
    return {
        "id": CLIENT_ID,
        "name": "Launcher",
        "grant_types": ["authorization_code"],
        "scopes": ["read", "write", "admin"],
        "redirect_uris": [CALLBACK],
    }


def fetch_token(api: str, state: State, user: str, scopes: str | None = None) -> str:
    """Return an access token for an account, with its own scopes by default.

    Raises SignInError for an unknown account, or when a step is refused.
    """
    account = ACCOUNTS.get(user)
    if account is None:
        raise SignInError(f"there is no user {user} here, only: {', '.join(sorted(ACCOUNTS))}")
    browser = _Browser(api)
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": scopes or account.scopes,
        "state": secrets.token_urlsafe(16),
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    page = browser.get(f"/v1/nexus/oauth/authorize?{urlencode(query)}")
    form = {match["name"]: html.unescape(match["value"]) for match in _FIELD.finditer(page)}
    if "csrf_token" not in form:
        raise SignInError(f"the sign-in page is not there: {_told(page)}")
    form |= {"email": account.email, "password": password_of(state, user)}
    browser.post("/v1/nexus/sign-in", form)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(browser.left_to).query).items()}
    if answer.get("state") != query["state"] or "code" not in answer:
        raise SignInError(
            f"{user} was not given a token with the scopes {query['scope']!r}: "
            f"{answer.get('error_description', 'sign-in failed')}. `make up` restores the user"
        )
    exchange = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": CALLBACK,
        "client_id": CLIENT_ID,
        "code_verifier": verifier,
    }
    issued = json.loads(browser.post("/v1/nexus/oauth/token", exchange))
    if "access_token" not in issued:
        raise SignInError(f"the token endpoint refused: {_told(json.dumps(issued))}")
    if refused := set(query["scope"].split()) - set(issued.get("scope", "").split()):
        raise SignInError(f"{user} may not have the scope {' '.join(sorted(refused))}")
    return str(issued["access_token"])


class _Browser:
    """Follows redirects within the API with its cookies, and stops where one leads elsewhere."""

    def __init__(self, api: str) -> None:
        self._parts = urlsplit(api)
        self._cookies: dict[str, str] = {}
        self.left_to = ""
        """Where the last redirect led that did not lead to the API."""

    def get(self, path: str) -> str:
        """Return the page that a path leads to."""
        return self._request("GET", path, None)

    def post(self, path: str, form: Mapping[str, str]) -> str:
        """Send a form and return the page that it leads to."""
        return self._request("POST", path, urlencode(form))

    def _request(self, method: str, path: str, body: str | None) -> str:
        for _ in range(5):
            status, headers, content = self._once(method, path, body)
            if status not in _SEE_OTHER:
                return content
            target = urlsplit(headers.get("Location", ""))
            if target.netloc not in ("", self._parts.netloc):
                self.left_to = target.geturl()
                return content
            method, body = "GET", None
            path = target._replace(scheme="", netloc="").geturl()
        raise SignInError("the API leads in a circle")

    def _once(
        self, method: str, path: str, body: str | None
    ) -> tuple[int, http.client.HTTPMessage, str]:
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(
            self._parts.hostname or "", self._parts.port, timeout=TIMEOUT
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise SignInError(
                f"{self._parts.geturl()} does not answer ({error}); run `make up`"
            ) from None
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.headers, content


def _told(content: str) -> str:
    """Return what a problem document says, else the beginning of the text."""
    try:
        document = json.loads(content)
    except ValueError:
        return content[:200]
    return str(document.get("detail") or document.get("error_description") or content[:200])
