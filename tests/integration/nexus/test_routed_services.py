"""Services of all kinds behind the router: functions, kept answers, canaries, forbidden addresses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk import functions, registry
from datapunk.registry import PLATFORM, Kind, Registration
from datapunk.settings import settings

from tests.support.lambda_api import LambdaApi, answering
from tests.support.routing import SERVICE, add_route, ask, enter, instances
from tests.support.services import Instance

pytestmark = pytest.mark.usefixtures("authority")


@pytest.fixture
def function(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaApi]:
    """Return where the service's function runs; it tells what event it has got."""
    with answering() as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", api.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        functions.forget()
        settings.cache_clear()
        registry.register(
            PLATFORM,
            Registration(id="fn", service=SERVICE, kind=Kind.LAMBDA, address="billing-function"),
            owner="service:tests",
        )
        registry.forget()
        add_route(timeout="ai")
        api.answer = lambda _name, _kind, payload: (200, {}, _proxied(json.loads(payload)))
        yield api
    functions.forget()


def _proxied(event: Any, status: int = 201) -> bytes:
    answer = {
        "statusCode": status,
        "multiValueHeaders": {"Content-Type": ["application/json"], "X-A": ["1"]},
        "body": json.dumps(event),
        "isBase64Encoded": False,
    }
    return json.dumps(answer).encode()


def test_a_function_gets_the_event_of_api_gateway(function: LambdaApi) -> None:
    # Given / When
    answered = ask(
        "/a%20b",
        "POST",
        query={"q": ["1", "2"]},
        body={"n": 1},
        principal="user:ann",
        headers={"Authorization": "Bearer of-the-caller"},
    )
    # Then
    assert (answered.status, answered.headers["x-a"]) == (201, "1")
    event = answered.json
    assert (event["httpMethod"], event["path"]) == ("POST", "/a%20b")
    assert event["pathParameters"] == {"path": "a b"}
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": 1}', False)
    assert "of-the-caller" not in answered.body
    # It is told who asks as by an authorizer, and has nothing that only the mesh may say
    assert event["requestContext"]["authorizer"] == {
        "principalId": "user:ann",
        "tenant": "public",
        "roles": "editor",
        "scopes": "read write",
        "actors": "service:nexus",
    }
    assert "rpc" not in event
    assert function.calls[0][:2] == ("billing-function", "RequestResponse")


def test_a_rule_names_the_function_of_a_service_that_has_several(function: LambdaApi) -> None:
    # Given
    add_route(timeout="ai", function="get_invoice")
    # When
    ask("/things")
    # Then
    assert function.calls[0][0] == "billing-function-get_invoice"


def test_a_function_that_a_tenant_names_is_not_invoked(function: LambdaApi) -> None:
    # Given a tenant that registers a function of the platform as its own service
    registry.register(
        "public",
        Registration(
            id="x", service="mine", kind=Kind.LAMBDA, address="datapunk-nexus-ensure_user"
        ),
        owner="user:mallory",
    )
    add_route("mine", service="mine", timeout="ai", provider="caller")
    # When / Then
    assert ask("/things", service="mine").status == 503
    assert function.calls == []


@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (200, {"X-Amz-Function-Error": "Unhandled"}, b"{}", (503, "unavailable")),
        (200, {}, b'"no answer"', (502, "bad_gateway")),
        (404, {"X-Amzn-ErrorType": "ResourceNotFoundException"}, b"{}", (503, "unavailable")),
    ],
    ids=["fails", "no proxy answer", "not there"],
)
def test_a_function_that_does_not_answer(
    function: LambdaApi,
    status: int,
    headers: dict[str, str],
    body: bytes,
    told: tuple[int, str],
) -> None:
    # Given
    function.answer = lambda *_: (status, headers, body)
    # When
    answered = ask("/things")
    # Then
    assert (answered.status, answered.json["code"]) == told


def test_answers_are_kept_for_those_who_may_see_them(database: str) -> None:
    # Given
    with instances("one") as (one,):
        add_route(timeout="ai", cache={"ttl_seconds": 60, "vary": ["accept-language"]})
        english, german = {"Accept-Language": "en"}, {"Accept-Language": "de"}
        # When
        first, second = ask("/x", headers=english), ask("/x", headers=english)
        other = ask("/x", headers=german)
        fresh = ask("/x", headers={**english, "Cache-Control": "no-cache"})
        chief = ask("/x", headers=english, roles="admin", scopes="read write admin")
        # Then
        told = [answer.headers["x-cache"] for answer in (first, second, other, fresh, chief)]
        assert told == ["MISS", "HIT", "MISS", "MISS", "MISS"]
        assert (second.body, int(second.headers["age"]) < 60) == (first.body, True)
        assert len(one.seen()) == 4
        # Nobody gets from the cache what the policy refuses
        assert ask("/x", headers=english, scopes="").status == 403
        # And a changed rule begins anew
        add_route(timeout="ai", cache={"ttl_seconds": 60, "vary": ["accept-language"]}, retries=0)
        assert ask("/x", headers=english).headers["x-cache"] == "MISS"


def test_an_answer_with_a_cookie_is_nobody_elses(database: str) -> None:
    # Given
    with instances("one") as (one,):
        one.control(headers={"Set-Cookie": "session=of-ann"})
        add_route(timeout="ai", cache={"ttl_seconds": 60})
        # When
        told = [ask("/x").headers["x-cache"] for _ in range(2)]
        # Then
        assert told == ["MISS", "MISS"]
        assert len(one.seen()) == 2


def test_the_version_gets_its_share_of_requests(database: str) -> None:
    # Given
    with instances("stable", "new") as (_, new):
        enter(new, meta={"version": "2"})
        add_route(timeout="ai", canary={"percent": 10, "version": "2"})
        # When
        named = Counter(ask("/things").json["instance"] for _ in range(40))
        # Then
        assert named == {"stable": 36, "new": 4}


def test_without_redis_requests_are_still_routed(database: str, instance: Instance) -> None:
    # Given
    with instances("one", "two") as (one, _):
        add_route(timeout="ai", cache={"ttl_seconds": 60})
        assert ask("/things").status == 200
        # When
        with instance.without("redis"):
            one.kill()
            told = [ask("/things") for _ in range(6)]
        # Then
        assert [answered.status for answered in told] == [200] * 6


def test_the_functions_own_machine_is_no_service(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who has registered an address of the function itself, on AWS
    with instances("one") as (one,):
        add_route(timeout="ai", retries=0)
        monkeypatch.setenv("DATAPUNK_STAGE", "prod")
        settings.cache_clear()
        # When
        answered = ask("/things")
        # Then
        assert answered.status == 503
        assert "127.0.0.1" in answered.json["detail"]
        assert one.seen() == []
    settings.cache_clear()
