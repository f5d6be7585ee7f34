"""Who is asking: the caller and the chain of services acting on the caller's behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
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
    valid_until: float = field(default=float("inf"), compare=False, repr=False)
    """When the credential that it is known by ends, in seconds since the epoch."""

    def through(self, actor: str) -> Caller:
        """Return the caller as whom `actor` asks on his behalf; nobody acts on behalf of himself."""
        if actor == (self.actors[-1] if self.actors else self.principal):
            return self
        return replace(self, actors=(*self.actors, actor))

    def as_document(self) -> dict[str, Any]:
        """Return the caller as one service tells it to another that trusts it."""
        return {
            "principal": self.principal,
            "tenant": self.tenant,
            "roles": self.roles,
            "scopes": self.scopes,
            "actors": self.actors,
        }


SYSTEM = Caller(principal="system", tenant="*")
"""The platform itself, where it must look before a tenant is known; no row and no token has its tenant."""


def caller_from_authorizer(context: Mapping[str, Any] | None) -> Caller:
    """Return the caller an API Gateway authorizer put into the request context.

    API Gateway passes only flat strings, so lists arrive space-separated. Without an authorizer the
    caller is anonymous in the public tenant.
    """
    if not context or not context.get("principalId"):
        return Caller()
    return _caller(
        str(context["principalId"]),
        str(context.get("tenant") or PUBLIC_TENANT),
        str(context.get("roles") or ""),
        str(context.get("scopes") or ""),
        str(context.get("actors") or ""),
    )


@lru_cache(maxsize=256)
def _caller(principal: str, tenant: str, roles: str, scopes: str, actors: str) -> Caller:
    """Return the same caller for the same texts: an environment sees few, and each many times."""
    return Caller(
        principal, tenant, tuple(roles.split()), tuple(scopes.split()), tuple(actors.split())
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
