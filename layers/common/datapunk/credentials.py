"""What a request presents to say who sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY_PREFIX = "dpk_"
"""How every API key begins."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presents about its sender. What is absent is None."""

    certificate: Mapping[str, Any] | None = None
    """A client certificate that the gateway's mutual TLS has verified."""
    authorization: str | None = None
    api_key: str | None = None
    cookies: str | None = None
    """The `Cookie` header."""
    changes: bool = False
    """Whether the request's method may change something."""
    origin: str | None = None
    """The site that a browser sends the request for."""
    fetch_site: str | None = None
    """What a browser says about that site: `same-origin`, `same-site`, `cross-site` or `none`."""
