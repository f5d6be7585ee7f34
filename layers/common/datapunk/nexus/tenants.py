"""Tenants: who shares data with whom. Rows of one are out of reach for all others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from datapunk.database import Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, ForbiddenError
from datapunk.nexus.roles import Role
from datapunk.nexus.users import Name, NewUser, create_user
from datapunk.paging import Page, decode_cursor, encode_cursor

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.tenants"

TenantId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class NewTenant(BaseModel):
    """What a tenant is made from: nobody could make its users but its own administrator."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "acme",
                    "name": "Acme",
                    "administrator": {"email": "ann@acme.example", "name": "Ann"},
                }
            ]
        },
    )

    id: TenantId
    name: Name
    administrator: NewUser = Field(description="The tenant's first user.")


class Tenant(BaseModel):
    """A tenant as it is stored."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime


def require_operator(tx: Transaction) -> None:
    """Raise ForbiddenError unless the caller administers the platform's own tenant, `public`."""
    if not tx.value(load_queries(_SQL)["operates"]):
        raise ForbiddenError("Only administrators of the tenant public may do this.")


def create_tenant(tx: Transaction, wanted: NewTenant) -> Tenant:
    """Create a tenant and its administrator, in the platform's own name (`identity.SYSTEM`).

    Raises ConflictError when the id or the e-mail address is taken.
    """
    try:
        with tx.savepoint():
            row = tx.one(load_queries(_SQL)["insert"], {"id": wanted.id, "name": wanted.name})
    except ConflictError as error:
        raise ConflictError(
            f"There is a tenant called {wanted.id} already.",
            errors=[FieldError("id", "is taken", "unique")],
        ) from error
    administrator = wanted.administrator.model_copy(
        update={"roles": sorted({*wanted.administrator.roles, Role.ADMIN})}
    )
    create_user(tx, administrator, tenant=wanted.id)
    return Tenant.model_validate(row)


def list_tenants(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[Tenant]:
    """Return a page of the tenants the caller can see, by id: his own, or all for an operator."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(load_queries(_SQL)["list"], {"after": after, "limit": limit + 1})
    items = [Tenant.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].id]) if more else None)
