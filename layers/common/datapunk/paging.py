"""Cursors: opaque, and only good for the list they came from.

A page ends with the cursor of its last item; the next page begins after that item, wherever it is by then
(keyset paging: no offset, nothing is skipped or repeated while others write).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel

from datapunk.errors import FieldError, InvalidInputError

DEFAULT_LIMIT = 100
MOST = 1_000
"""Items of a page of an ordinary list."""
_DIGEST = 8

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None = None


def page_size(given: int) -> int:
    """Return how many items a call wants, `DEFAULT_LIMIT` for 0. Raises InvalidInputError beyond `MOST`."""
    if not 0 <= given <= MOST:
        errors = [FieldError("limit", f"must be 1 to {MOST}", "limit")]
        raise InvalidInputError("Not valid: limit.", errors=errors)
    return given or DEFAULT_LIMIT


def encode_cursor(shape: str, position: list[Any]) -> str:
    """Return the cursor for the item at `position` of the list described by `shape`."""
    digest = hashlib.sha256(shape.encode()).hexdigest()[:_DIGEST]
    return base64.urlsafe_b64encode(orjson.dumps([digest, *position])).decode().rstrip("=")


def decode_cursor(shape: str, cursor: str, length: int) -> list[Any]:
    """Return the position in a cursor. Raises InvalidInputError when it is not one of this list."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _not_ours("is not a cursor") from None
    digest = hashlib.sha256(shape.encode()).hexdigest()[:_DIGEST]
    if not isinstance(value, list) or len(value) != length + 1 or value[0] != digest:
        raise _not_ours("is not a cursor of this list: repeat the request it came from")
    return value[1:]


def _not_ours(message: str) -> InvalidInputError:
    errors = [FieldError("cursor", message, "cursor")]
    return InvalidInputError("Not valid: cursor.", errors=errors)
