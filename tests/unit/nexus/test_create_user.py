"""POST /v1/nexus/users."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker
from tests.support.people import PASSWORD, acting, add_tenant, add_user, rows

NEW = {"email": "Bob@Example.com", "name": " Bob ", "password": PASSWORD, "roles": ["viewer"]}


def test_a_user_is_created_in_the_administrators_tenant(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    # When
    answer = invoke("nexus.create_user", body=NEW, **acting(admin))
    # Then
    assert answer.status == 201
    made = answer.json
    assert (made["email"], made["name"], made["tenant"]) == ("bob@example.com", "Bob", "acme")
    assert (made["roles"], made["disabled"], made["email_verified"]) == (["viewer"], False, False)
    assert answer.headers["location"] == f"/v1/nexus/users/{made['id']}"
    assert answer.headers["etag"].startswith('"')


def test_the_password_is_neither_told_nor_kept(database: str, invoke: Invoker) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.create_user", body=NEW, **acting(admin))
    # Then
    assert PASSWORD not in answer.body
    assert "argon2" not in answer.body
    (row,) = rows("SELECT password_hash FROM nexus.users WHERE email = 'bob@example.com'")
    assert row["password_hash"].startswith("$argon2id$v=19$m=47104,t=1,p=1$")


def test_an_address_is_given_once_whatever_its_case_and_tenant(
    database: str, invoke: Invoker
) -> None:
    # Given
    add_tenant("acme")
    add_user("bob@example.com", tenant="acme")
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.create_user", body=NEW, **acting(admin))
    # Then
    assert answer.status == 409
    assert answer.fields == {"email": "unique"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("email", "no address"),
        ("email", "a@b@c"),
        ("email", "ann@exämple.com"),
        ("name", "  "),
        ("name", "a\u0000b"),
        ("password", "too short"),
        ("roles", ["emperor"]),
        ("tenant", "acme"),
    ],
)
def test_what_is_wrong_is_named(database: str, invoke: Invoker, member: str, value: object) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.create_user", body={**NEW, member: value}, **acting(admin))
    # Then
    assert answer.status == 422
    assert [field.partition(".")[0] for field in answer.fields] == [member]


def test_only_administrators_create_users(database: str, invoke: Invoker) -> None:
    # Given someone whose token claims more than his roles in the database
    editor = add_user()
    claims = {**acting(editor), "roles": "admin", "scopes": "read write admin"}
    # When
    answer = invoke("nexus.create_user", body=NEW, **claims)
    # Then
    assert answer.status == 403
    assert rows("SELECT FROM nexus.users WHERE email = 'bob@example.com'") == []
