"""Users: people who sign in. Each belongs to one tenant and is known by his e-mail address."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, ForbiddenError, NotFoundError
from datapunk.identity import Caller
from datapunk.nexus.passwords import Password, hash_password, verify_password
from datapunk.nexus.roles import (
    Role,
    assign_role,
    require_administrator,
    require_another_administrator,
    scopes_of,
)
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.preconditions import require_match

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.users"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must consist of printable characters")
    return text


# Printable ASCII only: in other alphabets two addresses can look the same, or be lower-cased differently.
Email = Annotated[
    str,
    StringConstraints(to_lower=True, max_length=254, pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$"),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_printable),
]


class NewUser(BaseModel):
    """What a user is made from. Without a password he can only sign in through a provider."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"email": "ann@example.com", "name": "Ann", "roles": ["editor"]}]
        },
    )

    email: Email
    name: Name
    password: Password | None = None
    roles: Annotated[list[Role], Field(max_length=16)] = []


class UserChanges(BaseModel):
    """What changes about a user; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Ann B.", "disabled": False}]}
    )

    email: Email | None = None
    name: Name | None = None
    password: Password | None = None
    disabled: bool | None = Field(
        default=None,
        strict=True,
        description="A disabled user cannot sign in, and his sessions end.",
    )

    @property
    def ends_sessions(self) -> bool:
        """Whether sessions begun before the change must end with it."""
        return self.disabled is True or self.password is not None


class User(BaseModel):
    """A user, as every module knows him."""

    id: UUID
    email: str
    name: str
    created_at: datetime
    updated_at: datetime

    @property
    def principal(self) -> str:
        """The user's name in tokens, policies and audit records."""
        return f"user:{self.id}"

    @property
    def etag(self) -> str:
        """Entity tag of this state of the user (RFC 9110, 8.8.3)."""
        return f'"{int(self.updated_at.timestamp() * 1_000_000):x}"'


class UserAccount(User):
    """A user with what his tenant's administrators care for."""

    tenant: str
    email_verified: bool
    disabled: bool
    roles: list[str]

    @property
    def caller(self) -> Caller:
        """The user as a caller in his own right, with all the scopes of his roles."""
        return Caller(self.principal, self.tenant, tuple(self.roles), scopes_of(self.roles))


def user_id_of(caller: Caller) -> UUID:
    """Return whose user a caller is. Raises ForbiddenError for clients, services and nobody."""
    kind, _, identifier = caller.principal.partition(":")
    try:
        if kind == "user":
            return UUID(identifier)
    except ValueError:
        pass
    raise ForbiddenError("Only users have this.")


def create_user(
    tx: Transaction, wanted: NewUser, *, tenant: str | None = None, verified: bool = False
) -> UserAccount:
    """Create a user with roles, in the caller's tenant by default.

    `verified` tells that the address is known to be his. Raises ConflictError when the address is taken,
    in whatever tenant; ForbiddenError when the caller is no administrator.
    """
    require_administrator(tx)
    tenant = tenant or tx.caller.tenant
    hashed = hash_password(wanted.password) if wanted.password else None
    try:
        with tx.savepoint():
            row = tx.one(
                load_queries(_SQL)["insert"],
                {
                    "tenant": tenant,
                    "email": wanted.email,
                    "email_verified": verified,
                    "name": wanted.name,
                    "password_hash": hashed,
                },
            )
    except ConflictError as error:
        raise _email_taken() from error
    user = User.model_validate(row)
    for role in dict.fromkeys(wanted.roles):
        assign_role(tx, user.principal, role, tenant=tenant)
    return find_user(tx, user.id)


def ensure_user(tx: Transaction, wanted: NewUser, *, tenant: str) -> UserAccount:
    """Make sure that a user of a tenant exists, has this name and password and at least these roles.

    His address counts as verified: whoever operates the platform vouches for it. Raises ConflictError when
    he is another tenant's, InvalidInputError when there is no such tenant.
    """
    user = find_user_by_email(tx, wanted.email)
    if user is None:
        return create_user(tx, wanted, tenant=tenant, verified=True)
    if user.tenant != tenant:
        raise _email_taken()
    stored = tx.value(load_queries(_SQL)["password_hash"], {"id": user.id})
    same = wanted.password is None or verify_password(stored, wanted.password)
    password = None if same else wanted.password
    for role in wanted.roles:
        assign_role(tx, user.principal, role, tenant=tenant)
    if password or user.disabled or user.name != wanted.name:
        changes = UserChanges(name=wanted.name, password=password, disabled=False)
        return update_user(tx, user.id, changes)
    return find_user(tx, user.id)


def find_user(tx: Transaction, user_id: UUID) -> UserAccount:
    """Return a user. Raises NotFoundError when there is none whom the caller can see."""
    row = tx.one(load_queries(_SQL)["find"], {"id": user_id})
    if row is None:
        raise NotFoundError(
            "There is no such user.", errors=[FieldError("user", "does not exist", "not_found")]
        )
    return _account(row)


def find_user_by_email(tx: Transaction, email: str) -> UserAccount | None:
    """Return the user with an e-mail address, whatever its case, or None."""
    row = tx.one(load_queries(_SQL)["find_by_email"], {"email": email.lower()})
    return _account(row) if row else None


def find_credentials(tx: Transaction, email: str) -> tuple[UserAccount | None, str | None]:
    """Return the user with an e-mail address and the hash of his password, each None where missing."""
    user = find_user_by_email(tx, email)
    if user is None:
        return None, None
    return user, tx.value(load_queries(_SQL)["password_hash"], {"id": user.id})


def find_caller(tx: Transaction, user_id: UUID) -> Caller | None:
    """Return a user as he may act now; None when he is gone or disabled. For `identity.SYSTEM`."""
    row = tx.one(load_queries(_SQL)["find"], {"id": user_id})
    return None if row is None or row["disabled"] else _account(row).caller


def list_users(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[UserAccount]:
    """Return a page of the users whom the caller can see, by address."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(load_queries(_SQL)["list"], {"after": after, "limit": limit + 1})
    items = [_account(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].email]) if more else None)


def update_user(
    tx: Transaction, user_id: UUID, changes: UserChanges, *, if_match: str | None = None
) -> UserAccount:
    """Change a user and return him as he is then.

    Raises ForbiddenError when the caller is no administrator, NotFoundError when his tenant has no such
    user, PreconditionFailedError when the user is not in the state that `if_match` names, ConflictError when
    the new address is taken or the tenant's last administrator would be disabled.
    """
    require_administrator(tx)
    tx.execute(load_queries(_SQL)["lock"], {"id": user_id})
    user = find_user(tx, user_id)
    require_match(if_match, user.etag)
    if changes.disabled and not user.disabled:
        require_another_administrator(tx, user.principal)
    parameters: dict[str, Any] = {
        "id": user_id,
        "email": changes.email,
        "name": changes.name,
        "disabled": changes.disabled,
        "password_hash": hash_password(changes.password) if changes.password else None,
    }
    try:
        with tx.savepoint():
            tx.execute(load_queries(_SQL)["update"], parameters)
    except ConflictError as error:
        raise _email_taken() from error
    return find_user(tx, user_id)


def disable_user(tx: Transaction, user_id: UUID) -> UserAccount:
    """Keep a user from signing in. Raises as `update_user` does."""
    return update_user(tx, user_id, UserChanges(disabled=True))


def store_password_hash(tx: Transaction, user_id: UUID, hashed: str | None) -> None:
    """Replace the stored hash of a password; None leaves the user without one."""
    tx.execute(load_queries(_SQL)["store_password_hash"], {"id": user_id, "hash": hashed})


def mark_email_verified(tx: Transaction, user_id: UUID) -> None:
    """Remember that the user's address was proven to be his."""
    tx.execute(load_queries(_SQL)["mark_email_verified"], {"id": user_id})


def _account(row: Row) -> UserAccount:
    return UserAccount.model_validate(row)


def _email_taken() -> ConflictError:
    return ConflictError(
        "There is a user with this e-mail address already.",
        errors=[FieldError("email", "is taken", "unique")],
    )
