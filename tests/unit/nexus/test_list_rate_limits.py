"""GET /v1/nexus/rate-limits."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user

NAMES = [
    {"tenant": "*", "operations": "*", "client": "key:dpk1"},
    {"tenant": "*", "operations": "stream.publish_event", "client": "*"},
    {"tenant": "*", "operations": "lake", "client": "*"},
    {"tenant": "acme", "operations": "*", "client": "*"},
    {"tenant": "acme", "operations": "*", "client": "address:192.0.2.7"},
]


def test_all_limits_come_page_by_page(database: str, invoke: Invoker) -> None:
    # Given
    for quota, name in enumerate(NAMES, 1):
        invoke("nexus.set_rate_limit", path=name, body={"quota": quota})
    # When
    found, cursor = [], None
    for _ in range(len(NAMES)):
        query = {"limit": "2"} if cursor is None else {"limit": "2", "cursor": cursor}
        page = invoke("nexus.list_rate_limits", query=query).json
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    # Then
    assert cursor is None
    assert {item["quota"]: {name: item[name] for name in NAMES[0]} for item in found} == dict(
        enumerate(NAMES, 1)
    )
    assert len(found) == len(NAMES)


def test_a_forged_cursor_is_refused(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke("nexus.list_rate_limits", query={"cursor": "WzFd"})
    # Then
    assert (answer.status, answer.fields) == (422, {"cursor": "cursor"})


def test_a_tenants_administrator_is_no_operator(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    # When
    answer = invoke("nexus.list_rate_limits", **acting(admin))
    # Then
    assert answer.status == 403
