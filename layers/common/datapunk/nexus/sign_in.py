"""Sign-in with e-mail address and password, and where a browser may be sent after it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from datapunk.audit import Outcome, record_alone
from datapunk.database import transaction
from datapunk.errors import (
    FieldError,
    InvalidInputError,
    TooManyRequestsError,
    UnauthenticatedError,
)
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.attempts import count_attempt, forget_attempts
from datapunk.nexus.passwords import LONGEST, hash_password, needs_rehash, verify_password
from datapunk.nexus.users import UserAccount, find_credentials, store_password_hash
from datapunk.settings import settings

HOME = "/docs"
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*\Z")
_LONGEST_PATH = 4096


def own_path(return_to: str | None) -> str:
    """Return the path of ours that a browser asked to be led to; the start page where it asked for none.

    Raises InvalidInputError for anything that a browser could read as an address elsewhere: sign-in must
    not lend its name to another site (RFC 9700, 4.11).
    """
    if not return_to:
        return HOME
    parts = urlsplit(return_to) if _OWN_PATH.match(return_to) else None
    if parts is None or parts.scheme or parts.netloc or len(return_to) > _LONGEST_PATH:
        errors = [FieldError("return_to", "is not a path of this API", "own_path")]
        raise InvalidInputError("Not valid: return_to.", errors=errors)
    return return_to


def location_of(path: str) -> str:
    """Return the `Location` of one of our paths: below the stage of an API that has no domain of its own."""
    return urlsplit(settings().issuer).path + path


def sign_in(email: str, password: SecretStr, *, address: str) -> UserAccount:
    """Return the user with this address and password.

    Raises UnauthenticatedError, in the same words and after the same time whatever is wrong;
    TooManyRequestsError after too many attempts; UnavailableError when they cannot be counted.
    """
    try:
        count_attempt(email, address)
    except TooManyRequestsError:
        record_attempt("denied", email=email, address=address, reason="too many attempts")
        raise
    with transaction(SYSTEM) as tx:
        user, stored = find_credentials(tx, email)
    fits = len(password.get_secret_value()) <= LONGEST and verify_password(stored, password)
    if user is None or stored is None or user.disabled or not fits:
        record_attempt("denied", email=email, address=address, user=user)
        raise UnauthenticatedError("The e-mail address or the password is not right.")
    if needs_rehash(stored):
        with transaction(SYSTEM) as tx:
            store_password_hash(tx, user.id, hash_password(password))
    forget_attempts(email, address)
    record_attempt("done", email=email, address=address, user=user)
    return user


def record_attempt(
    outcome: Outcome,
    *,
    email: str,
    address: str,
    user: UserAccount | None = None,
    method: str = "password",
    reason: str = "",
) -> None:
    """Record an attempt to sign in; the one place that does. Raises UnavailableError.

    Of an address nobody has here only the domain is told: people type passwords into the wrong field.
    """
    domain = email.rpartition("@")[2][:255] if "@" in email else ""
    who = Caller(user.principal, user.tenant) if user else Caller()
    detail = {"method": method, "domain": domain, "reason": reason}
    record_alone("nexus.sign_in", who.principal, outcome, detail, caller=who, source=address)
