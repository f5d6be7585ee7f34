"""DELETE /v1/nexus/principals/{principal}/roles/{role}."""

from __future__ import annotations

from datapunk.nexus import sessions

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user


def test_a_role_is_gone_at_once_in_every_session(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    cookie, _ = sessions.start_session(ann)
    path = {"principal": ann.principal, "role": "editor"}
    # When
    answer = invoke("nexus.revoke_role", path=path, **acting(admin))
    caller = sessions.find_session(cookie)
    # Then
    assert (answer.status, answer.body) == (204, "")
    assert caller is not None
    assert (caller.roles, caller.scopes) == ((), ())


def test_a_role_that_is_not_there_is_not_found(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@example.com", roles=["admin"])
    eve = add_user("eve@acme.example", tenant="acme")
    # When
    for principal in (eve.principal, "client:unknown"):
        path = {"principal": principal, "role": "editor"}
        answer = invoke("nexus.revoke_role", path=path, **acting(admin))
        # Then
        assert (answer.status, answer.fields) == (404, {"role": "not_found"})


def test_the_last_administrator_stays(database: str, invoke: Invoker) -> None:
    # Given one who can sign in and one who cannot
    admin = add_user("admin@example.com", roles=["admin"])
    other = add_user("other@example.com", roles=["admin"])
    body, path = {"disabled": True}, {"user": str(other.id)}
    invoke("nexus.update_user", path=path, body=body, headers={"If-Match": "*"}, **acting(admin))
    path = {"principal": admin.principal, "role": "admin"}
    # When
    answer = invoke("nexus.revoke_role", path=path, **acting(admin))
    # Then
    assert answer.status == 409
