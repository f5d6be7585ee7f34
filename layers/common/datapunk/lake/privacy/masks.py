"""Masks: what a caller is shown in place of a value. None of them can be undone."""

from __future__ import annotations

import base64
import hmac
import re
import string

from datapunk.lake.privacy.declared import Mask

STAR = "*"
_SHOWN = 4
_EMAIL = re.compile(r"([^@\s])([^@\s]*)@([^@\s]+)\Z")
_LOWER, _UPPER, _DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits


def masked(method: Mask, text: str, hash_key: bytes, token_key: bytes) -> str | None:
    """Return what is shown of a text; None for nothing.

    `hash_key` is one column's: the same value has the same hash there and another elsewhere. `token_key` is
    the tenant's: the same value has the same token in every dataset, which can so be joined by it.
    """
    if method is Mask.PARTIAL:
        return partial(text)
    if method is Mask.HASH:
        digest = hmac.digest(hash_key, text.encode(), "sha256")
        return base64.b32encode(digest[:20]).decode().lower()
    if method is Mask.TOKENISE:
        return token(text, token_key)
    return text if method is Mask.CLEAR else None


def partial(text: str) -> str:
    """Return the end of a text behind stars; of an e-mail address its first letter and its domain.

    At most a quarter of the letters and digits are shown: of a short text, none.
    """
    if email := _EMAIL.match(text):
        return f"{email[1]}{STAR * 3}@{email[3]}"
    signs = [place for place, sign in enumerate(text) if sign.isalnum()]
    hidden = set(signs[: len(signs) - min(_SHOWN, len(signs) // 4)])
    return "".join(STAR if place in hidden else sign for place, sign in enumerate(text))


def token(text: str, key: bytes) -> str:
    """Return a pseudonym of the same form: letters for letters, digits for digits, the rest as it is.

    Two values of few characters may share one.
    """
    stream = b""
    found = []
    for place, sign in enumerate(text):
        if place >= len(stream):
            block = place.to_bytes(8, "big") + text.encode()
            stream += hmac.digest(key, block, "sha512")
        found.append(_replaced(sign, stream[place]))
    return "".join(found)


def _replaced(sign: str, choice: int) -> str:
    if sign.isdecimal():
        return _DIGITS[choice % 10]
    if sign.isalpha():
        letters = _UPPER if sign.isupper() else _LOWER
        return letters[choice % 26]
    return sign
