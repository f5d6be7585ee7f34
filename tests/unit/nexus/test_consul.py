"""nexus.consul: what its clients send is read, refused and answered as they expect."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from datapunk.context import WorkContext, continue_trace, working
from datapunk.errors import MalformedRequestError
from datapunk.identity import Caller
from datapunk.nexus.consul.durations import seconds_of
from datapunk.nexus.consul.registering import read_service
from datapunk.registry import Kind, Status
from hypothesis import given
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker
from tests.support.people import rows

OPERATION = "nexus.consul"
WEB: dict[str, Any] = {"name": "web", "address": "10.0.4.17", "port": 8000}


def _send(
    invoke: Invoker,
    path: str,
    body: Any = "",
    *,
    query: dict[str, str] | None = None,
    **caller: str,
) -> Answer:
    """Send a request of the sample's kind to another path."""
    sent = body if isinstance(body, str) else json.dumps(body)
    who: dict[str, Any] = {"tenant": "acme", "principal": "service:shop", **caller}
    return invoke(OPERATION, path={"path+": f"v1/{path}"}, query=query or {}, body=sent, **who)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    # Given
    text = "".join(f"{number}{unit}" for number, unit in parts)[:60]
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    # When / Then
    if len("".join(f"{number}{unit}" for number, unit in parts)) <= 60:
        assert seconds_of(text) == pytest.approx(sum(n * units[unit] for n, unit in parts))


@pytest.mark.parametrize(
    "text", ["", "10", "-5s", "s", "1.5.5s", "10 s", "5d", "1e3s", "9" * 70 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    # Given / When / Then
    with pytest.raises(ValueError, match="not a duration"):
        seconds_of(text)


NAMES = ["name", "ID", "Check", "checks", "TTL", "HTTP", "Meta", "tags", "port"]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
)


@given(DOCUMENTS)
def test_any_json_is_read_or_refused(document: Any) -> None:
    # Given
    content = json.dumps(document).encode()
    # When
    try:
        wanted = read_service(content)
    # Then
    except MalformedRequestError as error:
        assert error.detail
    else:
        assert wanted.registration.service == (document.get("name") or wanted.registration.service)


def test_names_are_read_however_they_are_written() -> None:
    # Given what three clients would send
    checks = (
        {
            "HTTP": "http://10.0.4.17:8000/",
            "Interval": "10s",
            "DeregisterCriticalServiceAfter": "1m",
        },
        {
            "http": "http://10.0.4.17:8000/",
            "interval": "10s",
            "deregister_critical_service_after": "60s",
        },
        {
            "Http": "http://10.0.4.17:8000/",
            "interval": "10s",
            "deregistercriticalserviceafter": "1m0s",
        },
    )
    # When
    read = [read_service(json.dumps({**WEB, "Check": check}).encode()) for check in checks]
    # Then
    assert read[0] == read[1] == read[2]
    [(check, status)] = read[0].checks
    assert (check.id, check.kind, check.interval_ms, check.reap_ms) == (
        "service:web", "http", 10_000, 60_000,
    )  # fmt: skip
    assert status is None


def test_several_checks_are_numbered_and_null_is_nothing() -> None:
    # Given
    document = {
        **WEB,
        "id": "web-1",
        "tags": None,
        "check": None,
        "meta": {"kind": "grpc"},
        "checks": [{"ttl": "5s", "status": "passing"}, {"tcp": "10.0.4.17:8000", "interval": "5s"}],
    }
    # When
    wanted = read_service(json.dumps(document).encode())
    # Then
    assert wanted.registration.kind is Kind.GRPC
    assert [(check.id, status) for check, status in wanted.checks] == [
        ("service:web-1:1", Status.PASSING),
        ("service:web-1:2", None),
    ]


@pytest.mark.parametrize(
    "check",
    [
        {"http": "http://169.254.169.254/latest/meta-data/", "interval": "5s"},
        {"http": "http://10.0.4.18:8000/", "interval": "5s"},
        {"http": "http://user:secret@10.0.4.17/", "interval": "5s"},
        {"http": "file:///etc/passwd", "interval": "5s"},
        {"http": "http://10.0.4.17@10.0.0.1/", "interval": "5s"},
        {"tcp": "10.0.4.17", "interval": "5s"},
        {"tcp": "localhost:22", "interval": "5s"},
        {"args": ["/bin/true"], "interval": "5s"},
        {"grpc": "10.0.4.17:8000", "interval": "5s"},
        {"ttl": "5s", "http": "http://10.0.4.17/"},
        {"ttl": "soon"},
        {},
    ],
)
def test_a_check_that_is_not_run_here_is_refused(check: dict[str, Any]) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        read_service(json.dumps({**WEB, "check": check}).encode())


def test_nobody_registers_a_function(database: str, invoke: Invoker) -> None:
    # Given
    wanted = {**WEB, "meta": {"kind": "lambda"}}
    # When
    answer = _send(invoke, "agent/service/register", wanted)
    # Then
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.fields == {"Meta": "invalid"}


def test_a_registration_is_in_the_audit_trail_and_a_heartbeat_is_not(
    database: str, invoke: Invoker
) -> None:
    # Given
    check = {"ttl": "30s"}
    assert _send(invoke, "agent/service/register", {**WEB, "check": check}).status == 200
    # When
    for path in ("agent/check/pass/service:web", "agent/check/warn/service:web"):
        assert _send(invoke, path, query={"note": "busy"}).status == 200
    update = {"Status": "critical", "Output": "no"}
    assert _send(invoke, "agent/check/update/service:web", update).status == 200
    # Then
    found = rows("SELECT action, resource, outcome FROM nexus.audit")
    assert [(row["action"], row["outcome"]) for row in found] == [("nexus.consul", "done")]
    assert found[0]["resource"].endswith("/agent/service/register")


def test_what_is_not_there_is_told_as_everywhere(database: str, invoke: Invoker) -> None:
    # Given / When
    missing = _send(invoke, "kv/secret")
    gone = _send(invoke, "agent/check/pass/service:nobody")
    # Then
    assert (missing.status, gone.status) == (404, 404)
    assert "register the service anew" in gone.json["detail"]
    assert missing.json["instance"] == "/v1/nexus/consul/v1/kv/secret"


def test_without_redis_the_answer_says_when_to_come_back(
    database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    # When
    answer = _send(invoke, "agent/service/register", WEB)
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "redis")
    assert answer.headers["retry-after"]


def test_the_application_answers_a_plain_server_as_it_answers_lambda(
    database: str, invoke: Invoker
) -> None:
    from nexus.consul import app as face

    # Given
    path = "agent/service/deregister/nobody"
    by_lambda = _send(invoke, path)
    work = WorkContext(
        operation=OPERATION,
        correlation_id="1",
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 10,
        caller=Caller("service:shop", "acme", ("editor",), ("read", "write")),
    )
    # When
    with working(work):
        context = contextvars.copy_context()
    # In a thread of its own: this one's event loop is the adapter's.
    with ThreadPoolExecutor(1) as pool:
        put = _put(face.app, f"/v1/nexus/consul/v1/{path}")
        status, document = pool.submit(context.run, asyncio.run, put).result(10)
    # Then
    assert status == by_lambda.status == 404
    assert {**document, "trace_id": ""} == {**by_lambda.json, "trace_id": ""}


async def _put(app: Any, path: str) -> tuple[int, dict[str, Any]]:
    """Send a request as a plain ASGI server does; return status and document."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"]), json.loads(sent[1]["body"])
