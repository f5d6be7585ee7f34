"""PATCH /v1/nexus/users/{user}."""

from __future__ import annotations

from datapunk.nexus import sessions

from tests.support.invoking import Answer, Invoker
from tests.support.people import PASSWORD, acting, add_user, rows

ANYHOW = "*"


def _update(invoke: Invoker, target: object, admin: object, body: object, match: str) -> Answer:
    return invoke(
        "nexus.update_user",
        path={"user": str(target.id)},  # type: ignore[attr-defined]
        body=body,
        headers={"If-Match": match},
        **acting(admin),  # type: ignore[arg-type]
    )


def test_what_is_given_changes_and_the_rest_stays(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    # When
    answer = _update(invoke, ann, admin, {"name": "Ann B."}, ann.etag)
    # Then
    assert answer.status == 200
    assert (answer.json["name"], answer.json["email"]) == ("Ann B.", "ann@example.com")
    assert answer.json["email_verified"] is True
    assert answer.headers["etag"] not in ("", ann.etag)


def test_a_state_that_has_passed_is_not_changed(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    _update(invoke, ann, admin, {"name": "First"}, ann.etag)
    # When
    late = _update(invoke, ann, admin, {"name": "Second"}, ann.etag)
    weak = _update(invoke, ann, admin, {"name": "Third"}, f"W/{ann.etag}")
    # Then
    assert (late.status, weak.status) == (412, 412)
    assert rows("SELECT name FROM nexus.users WHERE id = %s", [ann.id]) == [{"name": "First"}]


def test_a_new_address_is_not_verified(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    # When
    answer = _update(invoke, ann, admin, {"email": "ann@example.net"}, ANYHOW)
    # Then
    assert (answer.json["email"], answer.json["email_verified"]) == ("ann@example.net", False)


def test_disabling_ends_sessions_and_enabling_does_not_revive_them(
    database: str, invoke: Invoker
) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    cookie, _ = sessions.start_session(ann)
    # When
    disabled = _update(invoke, ann, admin, {"disabled": True}, ANYHOW)
    _update(invoke, ann, admin, {"disabled": False}, ANYHOW)
    # Then
    assert disabled.json["disabled"] is True
    assert sessions.find_session(cookie) is None


def test_a_new_password_ends_sessions(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    cookie, _ = sessions.start_session(ann)
    # When
    answer = _update(invoke, ann, admin, {"password": PASSWORD}, ANYHOW)
    # Then
    assert answer.status == 200
    assert sessions.find_session(cookie) is None


def test_the_last_administrator_is_not_disabled(database: str, invoke: Invoker) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    alone = _update(invoke, admin, admin, {"disabled": True}, ANYHOW)
    add_user("second@example.com", roles=["admin"])
    one_of_two = _update(invoke, admin, admin, {"disabled": True}, ANYHOW)
    # Then
    assert (alone.status, one_of_two.status) == (409, 200)


def test_only_administrators_change_users(database: str, invoke: Invoker) -> None:
    # Given someone who claims a role that he does not have
    ann = add_user()
    claims = {**acting(ann), "roles": "admin", "scopes": "read write admin"}
    # When
    answer = invoke(
        "nexus.update_user", path={"user": str(ann.id)}, body={"name": "Root"}, **claims
    )
    # Then
    assert answer.status == 403
