"""What of a request is not believed, and what every answer tells the client to be careful about.

Who sends a request, from where and over which scheme is known from API Gateway's request context and the
settings alone. Headers that claim any of it, and those meant for one hop, are gone before a handler looks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from datapunk.errors import FieldError, InvalidInputError

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""RFC 9110, 7.6.1; what `Connection` names besides is gone too."""

CLAIMS = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"),
        *("x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override"),
        *("x-user", "x-user-id", "x-roles", "x-scopes", "x-actor", "x-actors", "x-client-cert"),
    }
)
CLAIMING = (
    *("x-forwarded-", "x-original-", "x-datapunk-", "x-principal", "x-tenant", "x-auth-"),
    *("x-authenticated-", "x-amzn-oidc-", "x-ssl-", "ssl-client-"),
)
"""How names of headers begin that proxies use to say who is asking and from where."""

MOST_NAMED = 5
_LONGEST_NAME = 64

ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer that does not say otherwise."""
PAGE_POLICY = "frame-ancestors 'none'; object-src 'none'; base-uri 'none'"
"""What stands in `Content-Security-Policy` of a page that does not say otherwise."""
TRANSPORT = "max-age=31536000; includeSubDomains"
"""`Strict-Transport-Security` where the API is reached over HTTPS."""


def clean_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event without headers that are not to be believed or hold control characters."""
    multiple = event.get("multiValueHeaders") or {}
    single = event.get("headers") or {}
    gone = {name for name in (*multiple, *single) if not _is_believed(name)}
    if not gone and _are_printable(single, multiple):
        return {**event, "headers": single, "multiValueHeaders": multiple}
    if gone:
        listed = _listed(multiple)
        gone.update(name for name in (*multiple, *single) if name.lower() in listed)
    return {
        **event,
        "headers": {
            name: value
            for name, value in single.items()
            if name not in gone and (value.isprintable() or _is_printable(value))
        },
        "multiValueHeaders": {
            name: values
            for name, values in multiple.items()
            if name not in gone
            and (all(map(str.isprintable, values)) or all(map(_is_printable, values)))
        },
    }


def has_query(event: Mapping[str, Any]) -> bool:
    """Tell whether a request has query parameters."""
    return bool(event.get("multiValueQueryStringParameters") or event.get("queryStringParameters"))


def check_query(event: Mapping[str, Any], declared: Collection[str]) -> None:
    """Refuse query parameters the operation does not declare, if it declares any.

    A misspelt filter would otherwise answer with everything. Raises InvalidInputError.
    """
    given = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters")
    if not given or not declared:
        return
    unknown = [name[:_LONGEST_NAME] for name in given if name not in declared]
    if unknown:
        known = ", ".join(sorted(declared))
        errors = [
            FieldError(name, f"is not a parameter of this operation, which are: {known}", "unknown")
            for name in unknown[:MOST_NAMED]
        ]
        names = ", ".join(error.field for error in errors)
        raise InvalidInputError(f"Not known: {names}.", errors=errors)


def add_headers(headers: dict[str, list[str]], *, secure: bool) -> None:
    """Add to an answer's headers what it does not say itself; `secure` where it travels over HTTPS."""
    present = {name.lower(): values for name, values in headers.items()}
    for name, value in ANSWER.items():
        if name.lower() not in present:
            headers[name] = [value]
    kind = present.get("content-type", [""])[0]
    if kind.startswith("text/html") and "content-security-policy" not in present:
        headers["Content-Security-Policy"] = [PAGE_POLICY]
    if secure:
        headers["Strict-Transport-Security"] = [TRANSPORT]


@lru_cache(maxsize=512)
def _is_believed(name: str) -> bool:
    """Tell whether a header of this name may be handed on, whatever others say of it."""
    lower = name.lower()
    return not (lower in HOP_BY_HOP or lower in CLAIMS or lower.startswith(CLAIMING))


def _listed(multiple: Mapping[str, list[str]]) -> set[str]:
    """Return the lower-case names of the headers that `Connection` says are for one hop."""
    return {
        name.strip().lower()
        for key, values in multiple.items()
        if key.lower() == "connection"
        for value in values
        for name in value.split(",")
    }


def _are_printable(single: Mapping[str, str], multiple: Mapping[str, list[str]]) -> bool:
    """Tell whether no header needs a closer look, as hardly any ever does."""
    return (
        "".join(single.values()).isprintable()
        and "".join(chain.from_iterable(multiple.values())).isprintable()
    )


def _is_printable(value: str) -> bool:
    return all(part >= " " or part == "\t" for part in value)
