"""POST /v1/nexus/tenants."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user, rows

NEW = {
    "id": "acme",
    "name": "Acme",
    "administrator": {"email": "ann@acme.example", "name": "Ann"},
}


def test_an_operator_makes_a_tenant_with_its_administrator(database: str, invoke: Invoker) -> None:
    # Given
    operator = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.create_tenant", body=NEW, **acting(operator))
    # Then
    assert answer.status == 201
    assert (answer.json["id"], answer.json["name"]) == ("acme", "Acme")
    statement = """
        SELECT users.tenant, assigned.tenant AS "in", role FROM nexus.users
        JOIN nexus.role_assignments AS assigned ON assigned.principal = 'user:' || users.id
        WHERE email = 'ann@acme.example'
    """
    assert rows(statement) == [{"tenant": "acme", "in": "acme", "role": "admin"}]


def test_administrators_of_other_tenants_may_not(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("other")
    admin = add_user("admin@other.example", roles=["admin"], tenant="other")
    # When
    answer = invoke("nexus.create_tenant", body=NEW, **acting(admin))
    # Then
    assert answer.status == 403


def test_a_claimed_role_is_not_enough(database: str, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    claims = {**acting(ann), "roles": "admin", "scopes": "read write admin"}
    # When
    answer = invoke("nexus.create_tenant", body=NEW, **claims)
    # Then
    assert answer.status == 403
    assert rows("SELECT FROM nexus.tenants WHERE id = 'acme'") == []


def test_a_taken_id_or_address_makes_nothing(database: str, invoke: Invoker) -> None:
    # Given
    operator = add_user("admin@example.com", roles=["admin"])
    taken = {"email": "admin@example.com", "name": "Again"}
    # When
    address = invoke(
        "nexus.create_tenant", body={**NEW, "administrator": taken}, **acting(operator)
    )
    name = invoke("nexus.create_tenant", body={**NEW, "id": "public"}, **acting(operator))
    # Then
    assert (address.status, address.fields) == (409, {"email": "unique"})
    assert (name.status, name.fields) == (409, {"id": "unique"})
    assert rows("SELECT id FROM nexus.tenants") == [{"id": "public"}]
