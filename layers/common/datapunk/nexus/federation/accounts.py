"""Which user someone at a provider is: linked once, by a verified e-mail address, then by subject."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import ForbiddenError
from datapunk.identity import SYSTEM
from datapunk.nexus.federation.identity import ProvidedIdentity
from datapunk.nexus.federation.providers import Provider
from datapunk.nexus.sessions import end_sessions
from datapunk.nexus.users import (
    Email,
    NewUser,
    UserAccount,
    create_user,
    find_user,
    find_user_by_email,
    mark_email_verified,
    store_password_hash,
)

_SQL = Path(__file__).with_suffix(".sql")
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def user_of(provider: Provider, identity: ProvidedIdentity) -> UserAccount:
    """Return the user whom an identity belongs to, linking or creating him where that is allowed.

    Raises ForbiddenError when he is disabled, when the address is not verified, or when there is no such
    user and the provider is not set up to bring new ones.
    """
    with transaction(SYSTEM) as tx:
        known = tx.value(
            load_queries(_SQL)["use"], {"issuer": identity.issuer, "subject": identity.subject}
        )
        if known:
            user, distrusted = find_user(tx, UUID(str(known))), False
        else:
            user, distrusted = _link(tx, provider, identity)
        if distrusted:
            # Before the commit: the link must not stand while they go on.
            end_sessions(user.id)
    if user.disabled:
        raise ForbiddenError("This user is disabled: ask an administrator.")
    return user


def _link(
    tx: Transaction, provider: Provider, identity: ProvidedIdentity
) -> tuple[UserAccount, bool]:
    """Return the user the identity is linked to, and whether what he had before is distrusted."""
    email = _verified_email(provider, identity)
    user, distrusted = find_user_by_email(tx, email), False
    if user is None:
        user = _create(tx, provider, identity, email)
    elif not user.email_verified:
        # Whoever chose the password had not shown that the address is his; from now on it would open the
        # account of the one who has.
        distrusted = True
        store_password_hash(tx, user.id, None)
        mark_email_verified(tx, user.id)
        user = find_user(tx, user.id)
    tx.execute(
        load_queries(_SQL)["link"],
        {
            "issuer": identity.issuer,
            "subject": identity.subject,
            "user": user.id,
            "email": email,
        },
    )
    return user, distrusted


def _verified_email(provider: Provider, identity: ProvidedIdentity) -> str:
    if not identity.email_verified:
        raise ForbiddenError(f"{provider.label} has not verified your e-mail address.")
    try:
        return _EMAIL.validate_python(identity.email)
    except ValidationError:
        raise ForbiddenError(f"{provider.label} names no e-mail address of yours.") from None


def _create(
    tx: Transaction, provider: Provider, identity: ProvidedIdentity, email: str
) -> UserAccount:
    if provider.tenant is None:
        raise ForbiddenError("There is no user with your e-mail address: ask an administrator.")
    name = "".join(character for character in identity.name if character.isprintable()).strip()
    wanted = NewUser(email=email, name=name[:200] or email, roles=list(provider.roles))
    return create_user(tx, wanted, tenant=provider.tenant, verified=True)
