"""What a service is told about a request: for whom it is, from where it came, how long it may take.

A service never gets the caller's own credentials, unless its rule says so. It gets an access token of the
platform for the same caller, good for what the rule is about (reading, or writing too) and for minutes, in
which the router stands last in the chain of those who act for the caller.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from datapunk.context import TIMEOUT, call_headers
from datapunk.identity import Caller, service_principal
from datapunk.nexus.routing.messages import Request
from datapunk.nexus.routing.rules import LONGEST, RouteRule
from datapunk.nexus.tokens import issue_access_token

ACTOR = service_principal("nexus")
SHADOW = "x-datapunk-shadow"
TOKEN_SECONDS = LONGEST + 80
"""Seconds that a service's token lives: longer than any request, and the time that it is used again."""
_REUSED = 60.0
_MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a request, and from where."""

    caller: Caller
    service: str
    source: str = ""
    host: str = ""
    scheme: str = "https"


_tokens: dict[tuple[Caller, tuple[str, ...]], tuple[str, float]] = {}


def with_context(
    request: Request, rule: RouteRule, origin: Origin, seconds: float, *, shadow: bool = False
) -> Request:
    """Return the request with what the router tells a service.

    Raises ForbiddenError when too many act for the caller already.
    """
    headers = [
        *request.headers,
        ("x-forwarded-for", origin.source),
        ("x-forwarded-proto", origin.scheme),
        ("x-forwarded-host", origin.host),
        ("x-forwarded-prefix", f"/v1/services/{origin.service}"),
        # What the router waits for: a service should not begin what takes longer.
        (TIMEOUT, str(max(1, int(seconds * 1000)))),
        *call_headers().items(),
    ]
    if shadow:
        headers.append((SHADOW, "1"))
    if not (rule.forward_credentials and request.header("authorization")):
        headers.append(("authorization", f"Bearer {_token(origin.caller, request)}"))
    return Request(request.method, request.path, request.query, headers, request.body)


def acting(caller: Caller) -> Caller:
    """Return the caller as a service sees it: with the router as the nearest actor."""
    return replace(caller, actors=(*caller.actors, ACTOR))


def scopes_for(caller: Caller, request: Request) -> tuple[str, ...]:
    """Return those of the caller's scopes that a request of this kind is about."""
    about = ("read",) if request.reads else ("read", "write")
    return tuple(scope for scope in about if scope in caller.scopes)


def forget() -> None:
    """Forget the tokens that were issued."""
    _tokens.clear()


def _token(caller: Caller, request: Request) -> str:
    scopes = scopes_for(caller, request)
    now = time.monotonic()
    token, until = _tokens.get((caller, scopes), ("", 0.0))
    if now < until:
        return token
    if len(_tokens) >= _MOST_KEPT:
        _tokens.clear()
    # Signing may be a call to KMS: the requests of a minute share a token.
    issued = issue_access_token(
        caller, client_id=ACTOR, scopes=scopes, actor=ACTOR, lifetime=TOKEN_SECONDS
    )
    _tokens[caller, scopes] = (issued.access_token, now + _REUSED)
    return issued.access_token
