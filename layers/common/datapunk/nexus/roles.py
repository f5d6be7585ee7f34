"""Roles: which a principal has in a tenant. What a role may do is the policy's matter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from datapunk.database import Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, ForbiddenError, NotFoundError

_SQL = Path(__file__).with_suffix(".sql")

PRINCIPAL = (
    r"^(user:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(client|service):[A-Za-z0-9._-]{1,128})$"
)
"""`user:<id>`, `client:<id>` or `service:<name>`."""


class Role(StrEnum):
    """The roles there are; an editor is also a viewer, an administrator also an editor."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    AUDITOR = "auditor"


_SCOPES: dict[str, tuple[str, ...]] = {
    Role.VIEWER: ("read",),
    Role.AUDITOR: ("read",),
    Role.EDITOR: ("read", "write"),
    Role.ADMIN: ("read", "write", "admin"),
}


class RoleAssignment(BaseModel):
    """A role that a principal has in the caller's tenant, and since when."""

    principal: str
    role: Role
    created_at: datetime


def scopes_of(roles: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that someone with these roles can give away or use himself."""
    found = {scope for role in roles for scope in _SCOPES.get(role, ())}
    return tuple(scope for scope in ("read", "write", "admin") if scope in found)


def roles_of(tx: Transaction, principal: str, *, tenant: str | None = None) -> tuple[str, ...]:
    """Return the roles of a principal in a tenant, the transaction's own by default."""
    rows = tx.all(
        load_queries(_SQL)["roles_of"],
        {"principal": principal, "tenant": tenant or tx.caller.tenant},
    )
    return tuple(row["role"] for row in rows)


def require_administrator(tx: Transaction) -> None:
    """Raise ForbiddenError unless the caller administers his tenant, whatever his token says."""
    if not tx.value(load_queries(_SQL)["administers"]):
        raise ForbiddenError("Only administrators of the tenant may do this.")


def assign_role(
    tx: Transaction, principal: str, role: Role, *, tenant: str | None = None
) -> RoleAssignment:
    """Give a principal a role, of the caller's tenant by default; it may have it already.

    Raises NotFoundError for a user who is none of the tenant's, ForbiddenError when the caller is no
    administrator.
    """
    require_administrator(tx)
    tenant = tenant or tx.caller.tenant
    parameters = {"tenant": tenant, "principal": principal, "role": role.value}
    if principal.startswith("user:"):
        user = {"tenant": tenant, "user": principal.removeprefix("user:")}
        if not tx.value(load_queries(_SQL)["has_user"], user):
            raise _no_such_user(principal)
    tx.execute(load_queries(_SQL)["assign"], parameters)
    row = tx.one(load_queries(_SQL)["find"], parameters)
    return RoleAssignment.model_validate(row)


def revoke_role(tx: Transaction, principal: str, role: Role) -> None:
    """Take a role from a principal of the caller's tenant.

    Raises NotFoundError when it has no such role, ForbiddenError when the caller is no administrator,
    ConflictError when the tenant would be left without one.
    """
    require_administrator(tx)
    parameters = {"tenant": tx.caller.tenant, "principal": principal, "role": role.value}
    if role is Role.ADMIN:
        require_another_administrator(tx, principal)
    if not tx.execute(load_queries(_SQL)["revoke"], parameters):
        raise NotFoundError(
            f"{principal} does not have the role {role.value}.",
            errors=[FieldError("role", "is not assigned", "not_found")],
        )


def require_another_administrator(tx: Transaction, principal: str) -> None:
    """Raise ConflictError when `principal` is the last administrator of the caller's tenant.

    Until the transaction ends, nobody else can pass here for the same tenant.
    """
    parameters = {"tenant": tx.caller.tenant, "principal": principal}
    tx.execute(load_queries(_SQL)["lock_administrators"], parameters)
    row = tx.one(load_queries(_SQL)["count_administrators"], parameters) or {}
    if row.get("himself") and not row.get("others"):
        raise ConflictError(
            f"{principal} is the last administrator of {tx.caller.tenant}: "
            "make another one first, or nobody could."
        )


def _no_such_user(principal: str) -> NotFoundError:
    return NotFoundError(
        f"There is no {principal}.",
        errors=[FieldError("principal", "does not exist", "not_found")],
    )
