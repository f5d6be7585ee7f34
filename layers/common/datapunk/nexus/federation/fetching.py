"""Asking a provider: with a time limit, a size limit, no redirects, and JSON as the only answer."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from datapunk.context import remaining_seconds
from datapunk.errors import UnavailableError

TIMEOUT = 5.0
LARGEST = 1024 * 1024


class RefusedError(Exception):
    """The provider answered that it will not; `answer` is its document, if it was one."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.answer = answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: a secret sent to one address must not reach another."""


def fetch(
    provider: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    bearer: str | None = None,
) -> Any:
    """Return the JSON document at `url`; with a form, what the provider answers to it.

    Raises RefusedError for a client error, UnavailableError when the provider fails or does not answer.
    """
    headers = {"Accept": "application/json", "User-Agent": "datapunk"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    data = urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 -- of our settings
    limit = min(TIMEOUT, max(0.1, remaining_seconds() - 1))
    try:
        with _opener(url).open(request, timeout=limit) as answer:
            return _document(answer.read(LARGEST + 1))
    except urllib.error.HTTPError as error:
        with error:
            if not 400 <= error.code < 500:  # noqa: PLR2004 -- client errors
                raise UnavailableError(provider) from None
            try:
                document = _document(error.read(LARGEST + 1))
            except (OSError, ValueError):
                document = None
        raise RefusedError(error.code, document) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(provider) from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that follows nothing; a provider on this machine is not asked through a proxy."""
    if urlsplit(url).hostname in ("localhost", "127.0.0.1"):
        return urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(_NoRedirect)


def _document(content: bytes) -> Any:
    if len(content) > LARGEST:
        raise ValueError("the answer is too large")
    return orjson.loads(content)
