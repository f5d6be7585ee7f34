"""GET /v1/nexus/sessions."""

from __future__ import annotations

from datapunk.cookies import cookie_name
from datapunk.nexus import sessions

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user


def test_a_user_sees_his_own_sessions_and_which_is_this_one(database: str, invoke: Invoker) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    cookie, here = sessions.start_session(ann, address="192.0.2.1", agent="Browser")
    _, there = sessions.start_session(ann, method="google")
    sessions.start_session(bob)
    # When
    answer = invoke(
        "nexus.list_sessions", headers={"Cookie": f"{cookie_name()}={cookie}"}, **acting(ann)
    )
    # Then
    found = {item["id"]: item for item in answer.json["items"]}
    assert set(found) == {here.id, there.id}
    assert (found[here.id]["current"], found[there.id]["current"]) == (True, False)
    assert (found[here.id]["address"], found[here.id]["agent"]) == ("192.0.2.1", "Browser")
    assert found[there.id]["method"] == "google"
    # ... and nothing that would open one
    assert cookie.partition(".")[2] not in answer.body
    assert "digest" not in answer.body


def test_clients_have_no_sessions(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(
        "nexus.list_sessions", tenant="public", principal="client:loader", scopes="read"
    )
    # Then
    assert answer.status == 403
