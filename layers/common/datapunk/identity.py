"""Who is asking: the caller and the chain of services acting on the caller's behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

ANONYMOUS = "anonymous"
PUBLIC_TENANT = "public"


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal within a tenant, what it may do, and through whom it asks (nearest last)."""

    principal: str = ANONYMOUS
    tenant: str = PUBLIC_TENANT
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()

    def through(self, actor: str) -> Caller:
        """Return the caller as whom `actor` asks on his behalf; nobody acts on behalf of himself."""
        if actor == (self.actors[-1] if self.actors else self.principal):
            return self
        return replace(self, actors=(*self.actors, actor))

    def as_document(self) -> dict[str, Any]:
        """Return the caller as one service tells it to another that trusts it."""
        return asdict(self)


SYSTEM = Caller(principal="system", tenant="*")
"""The platform itself, where it must look before a tenant is known; no row and no token has its tenant."""


def caller_from_authorizer(context: Mapping[str, Any] | None) -> Caller:
    """Return the caller an API Gateway authorizer put into the request context.

    API Gateway passes only flat strings, so lists arrive space-separated. Without an authorizer the
    caller is anonymous in the public tenant.
    """
    if not context or not context.get("principalId"):
        return Caller()
    return Caller(
        principal=str(context["principalId"]),
        tenant=str(context.get("tenant") or PUBLIC_TENANT),
        roles=tuple(str(context.get("roles") or "").split()),
        scopes=tuple(str(context.get("scopes") or "").split()),
        actors=tuple(str(context.get("actors") or "").split()),
    )


def caller_from_document(document: Mapping[str, Any]) -> Caller:
    """Return the caller that `Caller.as_document` described."""
    return Caller(
        principal=str(document["principal"]),
        tenant=str(document["tenant"]),
        roles=tuple(document["roles"]),
        scopes=tuple(document["scopes"]),
        actors=tuple(document["actors"]),
    )


def service_principal(service: str) -> str:
    """Return the name under which a module of the platform acts."""
    return f"service:{service}"
