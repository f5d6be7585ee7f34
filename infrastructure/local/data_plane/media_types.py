"""Which media types an API treats as binary."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=1024)
def is_binary(media_type: str, binary_types: tuple[str, ...]) -> bool:
    """Tell whether a media type (parameters allowed) is among the binary types of an API.

    A binary type may end in `/*`; `*/*` takes everything.
    """
    plain = media_type.partition(";")[0].strip().lower()
    family = plain.partition("/")[0]
    return any(item in ("*/*", plain, f"{family}/*") for item in _lower(binary_types))


def _lower(items: Iterable[str]) -> list[str]:
    # The template writes image~1png where it means image/png (JSON pointer notation).
    return [item.lower().replace("~1", "/") for item in items]
