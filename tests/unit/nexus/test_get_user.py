"""GET /v1/nexus/users/{user}."""

from __future__ import annotations

import uuid

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user


def test_a_user_sees_himself(database: str, invoke: Invoker) -> None:
    # Given
    ann = add_user(roles=["viewer"])
    # When
    answer = invoke("nexus.get_user", path={"user": str(ann.id)}, **acting(ann))
    # Then
    assert answer.status == 200
    assert answer.json["email"] == "ann@example.com"
    assert answer.headers["etag"] == ann.etag


def test_a_user_sees_nobody_else(database: str, invoke: Invoker) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    # When
    answer = invoke("nexus.get_user", path={"user": str(bob.id)}, **acting(ann))
    # Then
    assert answer.status == 404


def test_an_administrator_sees_his_tenant_and_no_other(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@example.com", roles=["admin"])
    ann, eve = add_user(), add_user("eve@acme.example", tenant="acme")
    # When
    own = invoke("nexus.get_user", path={"user": str(ann.id)}, **acting(admin))
    foreign = invoke("nexus.get_user", path={"user": str(eve.id)}, **acting(admin))
    # Then
    assert (own.status, foreign.status) == (200, 404)


def test_an_administrators_narrow_token_shows_nobody_else(database: str, invoke: Invoker) -> None:
    # Given a token that may only read
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user()
    narrow = {**acting(admin), "scopes": "read"}
    # When
    answer = invoke("nexus.get_user", path={"user": str(ann.id)}, **narrow)
    # Then
    assert answer.status == 403


def test_who_does_not_exist_is_not_found(database: str, invoke: Invoker) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.get_user", path={"user": str(uuid.uuid4())}, **acting(admin))
    bad = invoke("nexus.get_user", path={"user": "no-uuid"}, **acting(admin))
    # Then
    assert (answer.status, answer.fields) == (404, {"user": "not_found"})
    assert bad.status == 422
