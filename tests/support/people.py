"""Tenants and users of a test, and requests in their name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus.roles import Role
from datapunk.nexus.users import NewUser, UserAccount, create_user
from pydantic import SecretStr

PASSWORD = "correct horse battery staple"


def add_tenant(tenant: str) -> None:
    with transaction(SYSTEM) as tx:
        tx.execute("INSERT INTO nexus.tenants (id, name) VALUES (%s, %s)", (tenant, tenant))


def add_user(
    email: str = "ann@example.com",
    *,
    roles: Sequence[str] = ("editor",),
    tenant: str = "public",
    password: str | None = None,
    verified: bool = True,
) -> UserAccount:
    wanted = NewUser(
        email=email,
        name=email.partition("@")[0].capitalize(),
        password=SecretStr(password) if password else None,
        roles=[Role(role) for role in roles],
    )
    with transaction(SYSTEM) as tx:
        return create_user(tx, wanted, tenant=tenant, verified=verified)


def acting(user: UserAccount) -> dict[str, Any]:
    """Return what makes a request one of the user's, as after the authorizer."""
    caller = user.caller
    return {
        "tenant": caller.tenant,
        "principal": caller.principal,
        "roles": " ".join(caller.roles),
        "scopes": " ".join(caller.scopes),
    }


def rows(statement: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return rows as the platform itself sees them."""
    with transaction(SYSTEM) as tx:
        return tx.all(statement, parameters)
