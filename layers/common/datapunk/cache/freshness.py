"""Positions: a write says where it stands, and a read may demand to see at least that.

Both travel in the header `X-Freshness`. A reader that hands on what a write (or an earlier read) gave it
never gets anything older: a cached value of an older or unknown version is passed over for the database.
"""

from __future__ import annotations

import re

from datapunk.cache.clock import MAX_VERSION
from datapunk.errors import FieldError, InvalidInputError

HEADER = "X-Freshness"
CACHE_HEADER = "X-Cache"
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "description": "The position an earlier answer gave: the answer is at least as new.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,14}$"},
}
"""The header as an OpenAPI parameter."""
_POSITION = re.compile(r"[0-9a-f]{1,14}\Z")


def position(version: int) -> str:
    """Return a version as it stands in the header: lower-case hex digits, opaque to clients."""
    return f"{version:x}"


def demanded(header: str | None) -> int:
    """Return the version a request demands, 0 without a header. Raises InvalidInputError for nonsense."""
    if header is None:
        return 0
    if not _POSITION.match(header) or (version := int(header, 16)) > MAX_VERSION:
        errors = [FieldError(HEADER.lower(), "is not a position that an answer gave", "position")]
        raise InvalidInputError(f"Not valid: {HEADER}.", errors=errors)
    return version
