"""nexus.rotate_api_key: the successor, and seven days of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM

from tests.support.api_keys import assert_refused, authorized, issue
from tests.support.invoking import Answer, Invoker
from tests.support.people import acting, add_tenant, add_user, rows

pytestmark = pytest.mark.usefixtures("database")
EXPIRE = "UPDATE nexus.api_keys SET expires_at = clock_timestamp() WHERE id = %s"


def _rotate(invoke: Invoker, key: str, caller: dict[str, Any]) -> Answer:
    return invoke("nexus.rotate_api_key", path={"key": key}, **caller)


def test_both_keys_work_for_seven_days(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    old = issue(ann, "read", "write", expires_in_days=30)
    # When
    answer = _rotate(invoke, old["id"], acting(ann))
    new = answer.json
    # Then
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/nexus/api-keys/{new['id']}"
    assert [new[name] for name in ("name", "scopes", "owner")] == [
        old[name] for name in ("name", "scopes", "owner")
    ]
    assert authorized(old["key"])["scopes"] == authorized(new["key"])["scopes"] == "read write"
    left = {
        row["id"]: row["expires_at"] - datetime.now(UTC)
        for row in rows("SELECT id, expires_at FROM nexus.api_keys")
    }
    assert timedelta(days=6, hours=23) < left[old["id"]] < timedelta(days=7)
    assert timedelta(days=29, hours=23) < left[new["id"]] < timedelta(days=30)
    # When the overlap has passed
    with transaction(SYSTEM) as tx:
        tx.execute(EXPIRE, (old["id"],))
    # Then
    assert_refused(old["key"])
    assert authorized(new["key"])["principal"] == ann.principal


def test_a_key_that_ends_sooner_does_not_live_longer_by_it(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    old = issue(ann, expires_in_days=1)
    # When
    _rotate(invoke, old["id"], acting(ann))
    # Then
    found = rows("SELECT expires_at FROM nexus.api_keys WHERE id = %s", (old["id"],))
    assert found[0]["expires_at"] == datetime.fromisoformat(old["expires_at"])


def test_a_key_is_rotated_once_and_its_successor_once(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    old = issue(ann)
    new = _rotate(invoke, old["id"], acting(ann)).json
    # When
    again = _rotate(invoke, old["id"], acting(ann))
    third = _rotate(invoke, new["id"], acting(ann))
    # Then
    assert (again.status, third.status) == (409, 201)
    assert new["id"] in again.json["detail"]


def test_what_works_no_more_is_not_rotated(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    revoked, expired = issue(ann), issue(ann)
    invoke("nexus.revoke_api_key", path={"key": revoked["id"]}, **acting(ann))
    with transaction(SYSTEM) as tx:
        tx.execute(EXPIRE, (expired["id"],))
    # When / Then
    for key in (revoked, expired):
        assert _rotate(invoke, key["id"], acting(ann)).status == 409


def test_nobody_rotates_anothers_key(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    key = issue(add_user())
    others = [
        add_user("bob@example.com"),
        add_user("admin@example.com", roles=["admin"]),
        add_user("eve@acme.example", tenant="acme", roles=["admin"]),
    ]
    # When / Then not even an administrator, who would then act in the owner's name
    for other in others:
        assert _rotate(invoke, key["id"], acting(other)).status == 404


def test_a_token_that_reads_gets_no_key_that_writes(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    key = issue(ann, "read", "write")
    # When / Then
    assert _rotate(invoke, key["id"], {**acting(ann), "scopes": "read"}).status == 403
