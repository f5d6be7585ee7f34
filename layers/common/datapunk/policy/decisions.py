"""Decisions: may a caller do something to something, and if not, why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypedDict

from datapunk.context import current
from datapunk.errors import ForbiddenError, UnauthenticatedError
from datapunk.identity import Caller
from datapunk.policy.engine import engine

_DECISION = "datapunk/decision"
_VISIBLE = "datapunk/visible"
_REMEMBERED = 4096
_Described = tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Principal, tenant, roles, scopes and actors: hashed in half the time of a `Caller`."""
_UNDECIDED = "undecided"
_REASONS = {
    "known_action": "No rule of the policy allows this operation.",
    "authenticated": "This needs credentials.",
    "own_tenant": "The credentials name no tenant.",
    "delegation": "Too many services act for one another in this request.",
    "platform_tenant": "This is for the operators of the platform.",
    "tenant": "This belongs to another tenant.",
    "scope": "The credentials lack the scope {scope}.",
    "role": "None of your roles allows this.",
    "network": "This is not allowed from your network.",
    _UNDECIDED: "The policy could not decide.",
}
"""What a refused caller is told, the most telling first."""


class Resource(TypedDict, total=False):
    """What is acted upon, as far as it is known: whose it is, and for rows in which table."""

    tenant: str
    owner: str
    table: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's answer. `objections` names every condition that does not hold."""

    allow: bool
    objections: tuple[str, ...] = ()
    scope: str = ""
    """The scope the action asks for, empty when it needs none."""

    @property
    def reason(self) -> str:
        """The most telling objection in a sentence; empty when there is none."""
        found = next((text for name, text in _REASONS.items() if name in self.objections), "")
        return found.format(scope=self.scope)


def decide(
    caller: Caller, action: str, resource: Resource | None = None, *, trusted_network: bool = True
) -> Decision:
    """Decide whether `caller` may do `action` (an operation, or `event.read`) to `resource`.

    Without a resource, or without its owner, the decision says whether there can be one that the caller may
    do it to; ask again once it is known. A policy that cannot decide refuses.
    """
    facts = resource or Resource()
    principal = caller.principal
    if "owner" not in facts:
        # Only the kind of the principal matters then: decisions can be shared.
        kind, colon, _ = principal.partition(":")
        principal = kind + colon
    described = (principal, caller.tenant, caller.roles, caller.scopes, caller.actors)
    return _decide(described, action, tuple(sorted(facts.items())), trusted_network)


@cache
def needed_scope(action: str) -> str:
    """Return the scope that `action` asks for, whoever does it; empty when it needs none."""
    return decide(Caller(), action, trusted_network=False).scope


def may_see(caller: Caller, resource: Resource) -> bool:
    """Tell whether `caller` sees the row of `table` with this `tenant` and `owner`, as PostgreSQL would."""
    described = (caller.principal, caller.tenant, caller.roles, caller.scopes, caller.actors)
    question = {"caller": _question(described), "resource": dict(resource)}
    return engine().ask(_VISIBLE, question) is True


def require(
    action: str,
    resource: Resource | None = None,
    *,
    caller: Caller | None = None,
    trusted_network: Callable[[], bool] | None = None,
) -> None:
    """Go on only if the caller (the current work's by default) may do `action` to `resource`.

    `trusted_network` is asked where the policy demands it; without it the network counts as trusted.
    Raises UnauthenticatedError when nobody has signed in, ForbiddenError with the reason otherwise.
    """
    work = current()
    caller = caller or (work.caller if work else Caller())
    decision = decide(caller, action, resource, trusted_network=trusted_network is None)
    if decision.objections == ("network",) and trusted_network is not None and trusted_network():
        return
    if decision.allow:
        return
    if "authenticated" in decision.objections:
        raise UnauthenticatedError(decision.reason)
    lacks_scope = set(decision.objections) - {"network"} == {"scope"}
    raise ForbiddenError(decision.reason, scope=decision.scope if lacks_scope else "")


@lru_cache(maxsize=_REMEMBERED)
def _decide(
    caller: _Described,
    action: str,
    resource: tuple[tuple[str, object], ...],
    trusted_network: bool,  # noqa: FBT001 -- a cache key
) -> Decision:
    """Ask the engine; the same question has the same answer for as long as the policy is loaded."""
    answer = engine().ask(
        _DECISION,
        {
            "caller": _question(caller),
            "action": action,
            "resource": dict(resource),
            "network": {"trusted": trusted_network},
        },
    )
    if not isinstance(answer, dict) or not isinstance(answer.get("allow"), bool):
        return Decision(allow=False, objections=(_UNDECIDED,))
    return Decision(
        allow=answer["allow"],
        objections=tuple(answer.get("objections", ())),
        scope=str(answer.get("scope", "")),
    )


def _question(caller: _Described) -> dict[str, object]:
    principal, tenant, roles, scopes, actors = caller
    return {
        "principal": principal,
        "tenant": tenant,
        "roles": list(roles),
        "scopes": list(scopes),
        "actors": list(actors),
    }
