"""GET /v1/nexus/rate-limits/{tenant}/{operations}/{client}."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user

NAME = {"tenant": "*", "operations": "lake", "client": "*"}


def test_a_limit_has_the_tag_it_was_set_with(database: str, invoke: Invoker) -> None:
    # Given
    made = invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9})
    # When
    found = invoke("nexus.get_rate_limit", path=NAME)
    # Then
    assert (found.status, found.body) == (200, made.body)
    assert found.headers["etag"] == made.headers["etag"]
    assert {name: found.json[name] for name in NAME} == NAME


def test_only_the_very_name_is_found(database: str, invoke: Invoker) -> None:
    # Given
    invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9})
    # When
    answers = [
        invoke("nexus.get_rate_limit", path={**NAME, **other})
        for other in ({"tenant": "acme"}, {"operations": "*"}, {"client": "user:1"})
    ]
    # Then
    assert [answer.status for answer in answers] == [404] * 3


def test_a_tenants_administrator_is_no_operator(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    # When
    answer = invoke("nexus.get_rate_limit", path={**NAME, "tenant": "acme"}, **acting(admin))
    # Then
    assert answer.status == 403
