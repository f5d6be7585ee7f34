"""ANY /v1/services/{service}/{path+}: what arrives at a service, and what comes back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from datapunk.nexus.routing.messages import MOST_BYTES
from datapunk.nexus.tokens import verify_access_token

from tests.support.invoking import answer, run
from tests.support.people import rows
from tests.support.routing import (
    Upstream,
    add_route,
    ask,
    enter,
    forget_routing,
    header,
    leave,
    remove_route,
    request_event,
)
from tests.support.services import Instance

pytestmark = pytest.mark.usefixtures("authority")
QUICK: dict[str, Any] = {"timeout": "ai"}


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """Return the instance with a rule whose requests this environment sends itself."""
    add_route(**QUICK)
    return upstream


def test_a_request_arrives_as_it_was_sent(upstream: Upstream) -> None:
    # Given / When
    answered = ask(
        "/a%20b//c/",
        "POST",
        query={"q": ["1", "2"], "x": "%"},
        body={"amount": 3},
        content_type="application/json",
        headers={"X-Special": "yes"},
    )
    # Then
    assert answered.status == 200, answered.body
    seen = answered.json
    assert (seen["method"], seen["path"]) == ("POST", "/a%20b/c/")
    assert seen["query"] == [["q", "1"], ["q", "2"], ["x", "%"]]
    assert seen["body"] == '{"amount": 3}'
    assert header(seen, "x-special") == "yes"
    assert header(seen, "content-type") == "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_is_routed(upstream: Upstream, method: str) -> None:
    # Given / When
    answered = ask("/status/207", method)
    # Then
    assert answered.status == 207
    assert [seen["method"] for seen in upstream.seen()] == [method]


def test_bytes_travel_in_base64(upstream: Upstream) -> None:
    # Given
    event = request_event(
        "/bytes", "POST", body=bytes(range(256)), content_type="application/octet-stream"
    )
    # When
    raw = run("nexus.route", event)
    # Then
    assert raw["isBase64Encoded"] is True
    assert base64.b64decode(raw["body"]) == bytes(range(256))
    assert raw["multiValueHeaders"]["Content-Type"] == ["image/png"]
    assert upstream.seen()[0]["body"].encode("latin-1") == bytes(range(256))


def test_headers_of_a_hop_and_claims_about_the_sender_do_not_arrive(upstream: Upstream) -> None:
    # Given someone who claims to be somebody, and to come from elsewhere
    forged = {
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Datapunk-Deadline-Ms": "1",
        "X-Datapunk-Shadow": "1",
        "X-User": "root",
        "X-Tenant": "other",
        "Forwarded": "for=10.0.0.1",
        "Transfer-Encoding": "chunked",
        "Te": "trailers",
        "Connection": "X-Gone",
        "X-Gone": "1",
        "Proxy-Authorization": "Basic eDp5",
        "Host": "evil.example",
        "Content-Length": "999",
    }
    # When
    seen = ask("/things", headers=forged).json
    # Then
    names = {name for name, _ in seen["headers"]}
    assert not names & {"x-user", "x-tenant", "forwarded", "te", "x-gone", "proxy-authorization"}
    assert not names & {"transfer-encoding", "content-length", "x-datapunk-shadow"}
    assert header(seen, "x-forwarded-for") == "192.0.2.10"
    assert header(seen, "x-forwarded-host") == "api.example.com"
    assert header(seen, "x-forwarded-prefix") == "/v1/services/billing"
    assert header(seen, "host") == f"127.0.0.1:{upstream.port}"
    assert int(header(seen, "connect-timeout-ms") or 0) > 5_000
    assert "evil.example" not in json.dumps(seen)


def test_a_service_gets_a_token_of_its_own_and_never_the_callers_credentials(
    upstream: Upstream,
) -> None:
    # Given
    given = {"Authorization": "Bearer of-the-caller", "X-Api-Key": "dpk_x", "Cookie": "datapunk=x"}
    acting: dict[str, Any] = {"principal": "user:ann", "scopes": "read write admin"}
    # When
    reading = ask("/things", headers=given, **acting).json
    writing = ask("/things", "POST", headers=given, body={}, **acting).json
    # Then
    assert "of-the-caller" not in json.dumps([reading, writing])
    assert not {"cookie", "x-api-key"} & {name for name, _ in reading["headers"]}
    callers = [
        verify_access_token((header(seen, "authorization") or "").removeprefix("Bearer "))
        for seen in (reading, writing)
    ]
    assert {caller.principal for caller in callers} == {"user:ann"}
    assert {caller.actors for caller in callers} == {("service:nexus",)}
    assert [caller.scopes for caller in callers] == [("read",), ("read", "write")]


def test_credentials_are_handed_on_where_the_rule_says_so(upstream: Upstream) -> None:
    # Given
    add_route(forward_credentials=True, background="never")
    # When
    seen = ask("/things", headers={"Authorization": "Bearer of-the-caller"}).json
    # Then
    assert header(seen, "authorization") == "Bearer of-the-caller"


def test_the_trace_goes_on_at_the_service(upstream: Upstream) -> None:
    # Given
    trace = "0af7651916cd43dd8448eb211c80319c"
    # When
    answered = ask("/things", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    # Then
    assert (header(answered.json, "traceparent") or "").split("-")[1] == trace
    assert header(answered.json, "x-correlation-id") == answered.headers["x-correlation-id"]


def test_what_is_meant_for_the_gateways_domain_does_not_come_back(upstream: Upstream) -> None:
    # Given
    upstream.control(
        headers={
            "Set-Cookie": "datapunk=stolen",
            "X-Kept": "yes",
            "Connection": "X-Hop",
            "X-Hop": "1",
            "Cache-Control": "max-age=5",
        }
    )
    # When
    answered = ask("/things")
    # Then
    assert "set-cookie" not in answered.headers
    assert "x-hop" not in answered.headers
    assert answered.headers["x-kept"] == "yes"
    assert answered.headers["cache-control"] == "max-age=5"


def test_a_service_without_a_rule_is_not_reachable(upstream: Upstream) -> None:
    # Given
    remove_route()
    # When
    answered = ask("/things")
    # Then
    assert answered.status == 404
    assert upstream.seen() == []


@pytest.mark.parametrize(
    "path", ["/a/../admin", "/a/%2e%2e/admin", "/a%2fb", "/a;x=1", "/a%5c..%5cb", "/a%00", "/%zz"]
)
def test_a_path_that_servers_could_understand_differently_is_refused(
    upstream: Upstream, path: str
) -> None:
    # Given / When
    answered = ask(path)
    # Then
    assert (answered.status, answered.fields) == (422, {"path": "path"})
    assert upstream.seen() == []


@pytest.mark.parametrize(
    ("rule", "method", "scopes", "roles", "status"),
    [
        ({}, "GET", "read", "viewer", 200),
        ({}, "POST", "read write", "viewer", 403),
        ({}, "POST", "read", "editor", 403),
        ({}, "POST", "read write", "editor", 200),
        ({"needs": "read"}, "POST", "read", "viewer", 200),
        ({"needs": "identity"}, "POST", "", "", 200),
        ({"needs": "admin"}, "GET", "read write admin", "editor", 403),
        ({"needs": "admin"}, "GET", "read write admin", "admin", 200),
    ],
)
def test_the_policy_decides_by_the_rules_need(
    upstream: Upstream, rule: dict[str, Any], method: str, scopes: str, roles: str, status: int
) -> None:
    # Given
    add_route(**QUICK, **rule)
    # When / Then
    assert ask("/things", method, scopes=scopes, roles=roles).status == status


def test_nobody_is_routed_who_has_not_signed_in(upstream: Upstream) -> None:
    # Given
    event = request_event("/things")
    event["requestContext"].pop("authorizer")
    # When / Then
    assert answer("nexus.route", event).status == 401
    assert upstream.seen() == []


def test_whoever_is_handed_on_too_often_is_refused(upstream: Upstream) -> None:
    # Given a request that has come round
    event = request_event("/things")
    event["requestContext"]["authorizer"]["actors"] = " ".join(["service:nexus"] * 5)
    # When / Then
    assert answer("nexus.route", event).status == 403


def test_a_slow_service_ends_with_504_at_the_end_of_its_class(upstream: Upstream) -> None:
    # Given a rule with half a second
    add_route(timeout_seconds=0.5)
    # When
    answered = ask("/slow/3")
    # Then
    assert answered.status == 504
    assert answered.headers["content-type"] == "application/problem+json"
    assert answered.json["code"] == "deadline_exceeded"
    assert "0.5 s" in answered.json["detail"]


def test_nothing_registered_is_unavailable(database: str) -> None:
    # Given
    add_route()
    # When
    answered = ask("/things")
    # Then
    assert (answered.status, answered.json["dependency"]) == (503, "billing")
    assert int(answered.headers["retry-after"]) >= 1


def test_an_answer_that_is_too_large_is_refused(upstream: Upstream) -> None:
    # Given
    upstream.control(answer="x" * MOST_BYTES)
    # When
    answered = ask("/things")
    # Then
    assert (answered.status, answered.json["code"]) == (502, "bad_gateway")


def test_the_next_request_follows_a_changed_rule(upstream: Upstream) -> None:
    # Given an environment that knows the rule
    assert ask("/things").json["path"] == "/things"
    # When / Then
    add_route(rewrite="/v2/{path+}")
    assert ask("/things").json["path"] == "/v2/things"
    remove_route()
    assert ask("/things").status == 404


def test_a_rule_that_other_code_has_written_stops_no_other_rule(upstream: Upstream) -> None:
    # Given a rule with a field that this code does not have, and one that it cannot read at all
    add_route("odd", service="odd")
    add_route("broken", service="broken")
    rows(
        "UPDATE nexus.routes SET rule = rule || '{\"newer\": 1}' WHERE name = 'billing' RETURNING 1"
    )
    rows("UPDATE nexus.routes SET rule = '{\"service\": 7}' WHERE name = 'broken' RETURNING 1")
    forget_routing()
    # When / Then
    assert ask("/things").status == 200
    assert ask("/things", service="broken").status == 404
    assert ask("/things", service="odd").status == 503


def test_rules_are_followed_and_changed_without_redis(
    upstream: Upstream, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    assert ask("/things").status == 200
    # When
    with instance.without("redis"):
        known = ask("/things")
        add_route(rewrite="/v2/{path+}")
        changed = ask("/things")
    # Then
    assert known.status == 200
    assert changed.json["path"] == "/v2/things"


def test_a_tenants_instances_get_requests_only_where_a_rule_says_so(upstream: Upstream) -> None:
    # Given an instance that a tenant has registered for itself
    leave(upstream.name)
    enter(upstream, tenant="acme")
    rows("INSERT INTO nexus.tenants (id, name) VALUES ('acme', 'Acme') RETURNING id")
    # When
    closed = ask("/things", tenant="acme").status
    add_route(**QUICK, provider="caller")
    own, other = ask("/things", tenant="acme").status, ask("/things").status
    add_route(**QUICK, provider="acme")
    shared = ask("/things").status
    add_route(**QUICK, provider="acme", owners=["service:billing"])
    foreign = ask("/things").status
    add_route(**QUICK, provider="acme", owners=["service:tests"])
    named = ask("/things").status
    # Then
    assert (closed, own, other) == (503, 200, 503)
    assert (shared, foreign, named) == (200, 503, 200)
