"""nexus.issue_api_key: what a key may do, that it is shown once, who may have one."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from datapunk.nexus.api_keys import MOST

from tests.support.api_keys import authorized, issue
from tests.support.invoking import Invoker, answer
from tests.support.oauth import SERVICE, add_client
from tests.support.people import acting, add_user, rows
from tests.support.samples import http_event

pytestmark = pytest.mark.usefixtures("database")


def test_a_key_is_told_once_and_only_its_digest_is_kept(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    # When
    issued = issue(ann, "read", "write")
    # Then
    assert re.fullmatch(r"dpk_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", issued["key"])
    assert issued["key"].split("_")[1] == issued["id"]
    assert (issued["owner"], issued["tenant"]) == (ann.principal, "public")
    secret = issued["key"].rpartition("_")[2]
    for table in ("nexus.api_keys", "nexus.audit", "platform.outbox"):
        found = rows(f"SELECT t::text FROM {table} AS t")
        assert secret not in str(found)
    listed = invoke("nexus.list_api_keys", **acting(ann))
    assert secret not in listed.body


def test_a_key_works_for_90_days_unless_it_is_asked_for_less() -> None:
    # Given
    ann = add_user()
    # When
    lives = [
        datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
        for key in (issue(ann), issue(ann, expires_in_days=1))
    ]
    # Then
    assert [round(life.total_seconds() / 86_400, 3) for life in lives] == [90, 1]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "a\x00b"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["openid"]},
        {"expires_in_days": 0},
        {"expires_in_days": 366},
        {"owner": "user:other"},
        {"key": "dpk_chosen"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(invoke: Invoker, changed: dict[str, Any]) -> None:
    # Given
    body = {"name": "Loader", "scopes": ["read"], **changed}
    # When / Then
    assert invoke("nexus.issue_api_key", body=body, **acting(add_user())).status == 422


def test_a_key_has_no_scope_that_its_issuers_credentials_lack(invoke: Invoker) -> None:
    # Given an administrator with a token that only reads
    admin = {**acting(add_user(roles=["admin"])), "scopes": "read"}
    body = {"name": "Loader", "scopes": ["read", "write"]}
    # When
    answered = invoke("nexus.issue_api_key", body=body, **admin)
    # Then
    assert answered.status == 403
    assert answered.headers["www-authenticate"].endswith('scope="write"')
    assert rows("SELECT FROM nexus.api_keys") == []


def test_forged_scopes_make_a_key_that_has_none_of_them(invoke: Invoker) -> None:
    # Given a viewer whose context claims more than his roles give
    viewer = add_user(roles=["viewer"])
    forged = {**acting(viewer), "scopes": "read write admin"}
    body = {"name": "Loader", "scopes": ["read", "admin"]}
    # When
    answered = invoke("nexus.issue_api_key", body=body, **forged)
    # Then
    assert authorized(answered.json["key"])["scopes"] == "read"


def test_a_client_has_keys_too(invoke: Invoker) -> None:
    # Given
    client = add_client(SERVICE)
    body = {"name": "Loader", "scopes": ["write"]}
    itself: dict[str, Any] = {
        "tenant": "public",
        "principal": client.principal,
        "scopes": "read write",
    }
    # When
    answered = invoke("nexus.issue_api_key", body=body, **itself)
    # Then
    told = authorized(answered.json["key"])
    assert (told["principal"], told["scopes"]) == (client.principal, "write")


@pytest.mark.parametrize("actor", ["key:8aKf3QzT", "client:app"])
def test_no_key_is_issued_through_a_key_or_a_service(actor: str) -> None:
    # Given
    ann = add_user()
    event = http_event(
        "nexus.issue_api_key", body={"name": "Loader", "scopes": ["read"]}, **acting(ann)
    )
    event["requestContext"]["authorizer"]["actors"] = actor
    # When / Then
    assert answer("nexus.issue_api_key", event).status == 403
    assert rows("SELECT FROM nexus.api_keys") == []


def test_others_have_no_keys(invoke: Invoker) -> None:
    # Given
    robot: dict[str, Any] = {"tenant": "public", "principal": "robot:billing", "scopes": "read"}
    body = {"name": "Loader", "scopes": ["read"]}
    # When / Then
    assert invoke("nexus.issue_api_key", body=body, **robot).status == 401


def test_an_owner_has_fifty_live_keys(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    keys = [issue(ann) for _ in range(MOST)]
    body = {"name": "One more", "scopes": ["read"]}
    # When
    refused = invoke("nexus.issue_api_key", body=body, **acting(ann))
    invoke("nexus.revoke_api_key", path={"key": keys[0]["id"]}, **acting(ann))
    # Then
    assert refused.status == 409
    assert issue(ann)["id"]


def test_the_audit_trail_names_the_key(invoke: Invoker) -> None:
    # Given
    ann = add_user()
    # When
    issued = issue(ann, "read", "write")
    # Then
    found = rows("SELECT * FROM nexus.audit WHERE action = 'nexus.issue_api_key'")
    assert len(found) == 1
    assert found[0]["resource"] == f"/v1/nexus/api-keys/{issued['id']}"
    assert found[0]["principal"] == ann.principal
