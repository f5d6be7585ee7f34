"""One credential of each kind that the authorizer takes, and how each is revoked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datapunk.cookies import cookie_name
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.api_keys import NewApiKey, issue_api_key, revoke_api_key
from datapunk.nexus.certificates import revoke_certificate
from datapunk.nexus.revocations import revoke_issued
from datapunk.nexus.sessions import end_session, start_session
from datapunk.nexus.tokens import issue_access_token

from tests.support.oauth import add_user
from tests.support.samples import load_sample
from tests.support.workloads import administrator, certificate_of, presented


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential: the authorizer's event that presents it, whose it is, and its end."""

    event: dict[str, Any]
    principal: str
    revoke: Callable[[], object]


def asking(
    headers: dict[str, str] | None = None, certificate: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return an authorizer's event that presents only what is given."""
    event = copy.deepcopy(load_sample("nexus.authorize"))
    event["headers"] = headers or {}
    event["multiValueHeaders"] = {name: [value] for name, value in (headers or {}).items()}
    if certificate:
        event["requestContext"]["identity"]["clientCert"] = certificate
    return event


def token(email: str = "token@example.com", *, session: str | None = None) -> Credential:
    """Return a bearer token of a new user."""
    caller = add_user(email).caller
    issued = issue_access_token(caller, client_id="app", scopes=["read"], session=session)
    return Credential(
        asking({"Authorization": f"Bearer {issued.access_token}"}),
        caller.principal,
        lambda: _as_platform(lambda tx: revoke_issued(tx, caller.principal)),
    )


def key() -> Credential:
    """Return an API key of a new user."""
    owner = add_user("key@example.com").caller
    with transaction(owner) as tx:
        issued = issue_api_key(tx, NewApiKey(name="Station", scopes=["read"]))
    return Credential(
        asking({"X-Api-Key": issued.key}),
        owner.principal,
        lambda: _as(owner, lambda tx: revoke_api_key(tx, issued.id)),
    )


def session() -> Credential:
    """Return a session of a new user, with the token that it stands behind left out."""
    user = add_user("session@example.com")
    value, begun = start_session(user)
    return Credential(
        asking({"Cookie": f"{cookie_name()}={value}"}),
        user.caller.principal,
        lambda: end_session(user.id, begun.id),
    )


def certificate() -> Credential:
    """Return the certificate of a new service."""
    admin = administrator()
    issued = certificate_of(admin)
    return Credential(
        asking(certificate=presented(issued["certificate"])),
        "service:billing",
        lambda: _as(admin.caller, lambda tx: revoke_certificate(tx, issued["serial"])),
    )


KINDS: dict[str, Callable[[], Credential]] = {
    "token": token,
    "key": key,
    "session": session,
    "certificate": certificate,
}


def _as(caller: Caller, work: Callable[[Any], object]) -> None:
    with transaction(caller) as tx:
        work(tx)


def _as_platform(work: Callable[[Any], object]) -> None:
    _as(SYSTEM, work)
