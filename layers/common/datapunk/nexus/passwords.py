"""Passwords of local sign-in: Argon2id (RFC 9106), with a pinch of patience for guessers.

46 MiB, one pass, one lane is the first of OWASP's equivalent parameter sets; it fits beside everything else
into a function of 256 MB. A hash carries its parameters, so stronger ones apply to each user at his next
sign-in.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr

if TYPE_CHECKING:  # only sign-in and user administration pay for the library
    from argon2 import PasswordHasher

MEMORY_KIB = 47_104
PASSES = 1
LANES = 1
SHORTEST = 12
LONGEST = 256

Password = Annotated[
    SecretStr,
    Field(
        min_length=SHORTEST,
        max_length=LONGEST,
        description="12 characters or more of any kind; long beats complicated.",
    ),
]

_NOBODYS = (
    "$argon2id$v=19$m=47104,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""No password has this hash: it is compared with where there is no user, so that both take as long."""


def hash_password(password: SecretStr) -> str:
    """Return what may be stored of a password."""
    return _hasher().hash(_normal(password))


def verify_password(stored: str | None, password: SecretStr) -> bool:
    """Tell whether a password is the stored one; without a stored one the same time passes."""
    from argon2.exceptions import VerificationError

    try:
        return _hasher().verify(stored or _NOBODYS, _normal(password))
    except VerificationError:
        return False


def needs_rehash(stored: str) -> bool:
    """Tell whether a stored hash was made with other parameters than today's."""
    return _hasher().check_needs_rehash(stored)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _normal(password: SecretStr) -> str:
    """Return one form of a text that keyboards write in several (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password.get_secret_value())
