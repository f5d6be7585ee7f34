"""PostgreSQL or RabbitMQ away for a while: clear answers meanwhile, nothing lost, nothing restarted."""

from __future__ import annotations

import json
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from datapunk.nexus.remembered import FRESH

from tests.e2e.clone import Clone, eventually, kill
from tests.e2e.processes import processes_of
from tests.e2e.web import CLOUD_EVENT, Answer, assert_problem

DATASETS = "/v1/lake/datasets"
RECORDS = f"{DATASETS}/kept/records"
EVENTS = "/v1/stream/events"
BOUND_SECONDS = 6.0
"""Twice the three seconds that are promised: other work of this machine may slow the answer."""
UNAVAILABLE = frozenset({"dependency"})
BACK_OFF = 75.0
"""Seconds in which an event arrives after an outage: a mapping that has failed waits up to 30 s, and the
relay comes once a minute."""
PAUSE_SECONDS = 30.0
"""Seconds in which the relay works after an outage: when its schedule has just met the broker's absence,
its environment does not look for the broker again before two seconds are over."""


@pytest.fixture(autouse=True)
def undisturbed(vandal: Clone) -> Iterator[None]:
    """Check that no test of this file made anything but the stopped service start anew."""
    before = vandal.pids()
    yield
    after = vandal.pids()
    assert {name: after[name] for name in ("aws", "api", "redis")} == {
        name: before[name] for name in ("aws", "api", "redis")
    }


def insert(clone: Clone) -> str:
    """Insert a row of its own and return the id of its event."""
    answer = clone.api.post(RECORDS, [{"id": uuid.uuid4().hex}])
    assert answer.status == 201, answer.body
    return str(answer.json()["event_id"])


def an_event() -> dict[str, str]:
    """Return an event that nobody else publishes."""
    event = {"specversion": "1.0", "source": "/outage", "type": "outage.test", "subject": "kept"}
    return {**event, "id": uuid.uuid4().hex}


def stored(clone: Clone, *ids: str) -> bool:
    """Tell whether all these events are in the event store, each once."""
    answer = clone.api.get(f"{EVENTS}?subject=kept&limit=1000")
    assert answer.status == 200, answer.body
    found = [event["id"] for event in answer.json()["items"]]
    return all(found.count(event) == 1 for event in ids)


def relay(clone: Clone) -> Any:
    """Invoke the relay as any AWS client does; return nothing when it failed or another run is at work."""
    client = boto3.client(
        "lambda",
        endpoint_url=clone.endpoints["invoke"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    answer = client.invoke(FunctionName="datapunk-local-stream-relay_outbox", Payload=b"{}")
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        assert payload["errorType"] == "UnavailableError", payload
        return None
    return None if "skipped" in payload else payload


def test_changes_go_on_without_the_broker_and_the_relay_brings_their_events(vandal: Clone) -> None:
    # Given
    warm = insert(vandal)
    eventually(lambda: stored(vandal, warm), seconds=BACK_OFF)
    vandal.service("rabbitmq").stop()
    # When
    meanwhile = [insert(vandal) for _ in range(3)]
    published = vandal.api.post(EVENTS, an_event(), CLOUD_EVENT)
    health = vandal.api.get("/v1/stream/health/ready")
    still = vandal.api.get("/v1/lake/health/ready")
    missing = stored(vandal, meanwhile[0])
    vandal.restart("rabbitmq")
    relayed = eventually(lambda: relay(vandal), seconds=PAUSE_SECONDS)
    # Then
    assert published.status == 202, published.body
    meanwhile += published.json()["ids"]
    assert (health.status, health.json()["status"]) == (503, "down")
    assert (still.status, still.json()["status"]) == (200, "degraded")
    assert not missing
    assert relayed["waiting"] == 0
    eventually(lambda: stored(vandal, *meanwhile), seconds=BACK_OFF)
    assert vandal.api.get("/v1/stream/health/ready").json()["status"] == "up"


def test_the_next_insert_brings_what_waits(vandal: Clone) -> None:
    # Given
    vandal.service("rabbitmq").stop()
    waiting = insert(vandal)
    # When
    vandal.restart("rabbitmq")
    after = insert(vandal)
    # Then
    eventually(lambda: stored(vandal, waiting, after), seconds=BACK_OFF)


def test_a_broker_that_hangs_refuses_no_insert(vandal: Clone) -> None:
    # Given
    for pid, line in processes_of(vandal.folder).items():
        if "fork_server" in line:  # so that no environment has a connection yet
            kill(pid)
    eventually(lambda: vandal.api.get(RECORDS).status == 200)
    broker = vandal.pids()["rabbitmq"]
    kill(broker, signal.SIGSTOP)
    # When
    try:
        event = insert(vandal)
    finally:
        kill(broker, signal.SIGCONT)
    # Then
    eventually(lambda: relay(vandal), seconds=PAUSE_SECONDS)
    eventually(lambda: stored(vandal, event), seconds=BACK_OFF)


def requests(clone: Clone, *names: str, **headers: str) -> dict[str, Answer]:
    """Send requests that need PostgreSQL, all or those named; none may take long."""
    api, answers = clone.api, {}
    definition = {"name": "never_made", "columns": [{"name": "id", "type": "text"}]}
    sent: list[tuple[str, str, Any]] = [
        ("GET", DATASETS, None),
        ("GET", f"{DATASETS}/kept/records?limit=1", None),
        ("GET", RECORDS, None),
        ("GET", EVENTS, None),
        ("POST", DATASETS, definition),
        ("POST", RECORDS, [{"id": "never"}]),
    ]
    for method, path, body in sent:
        if names and f"{method} {path}" not in names:
            continue
        started = time.monotonic()
        answers[f"{method} {path}"] = api.call(method, path, body, **headers)
        elapsed = time.monotonic() - started
        sys.stdout.write(f"{method} {path}: {elapsed:.2f} s\n")
        assert elapsed < BOUND_SECONDS, (method, path)
    return answers


def assert_unavailable(answers: dict[str, Answer]) -> None:
    """Assert that each comes from the function, and says who is away and when to come back.

    The authorizer goes on for whom it knows.
    """
    assert answers
    for answer in answers.values():
        problem = assert_problem(answer, 503, extra=UNAVAILABLE)
        assert problem["dependency"] == "postgresql"
        assert int(answer.headers["retry-after"]) > 0


def assert_unknown(answers: dict[str, Answer]) -> None:
    """Assert that each says what cannot be told for now and when to come back.

    Whether a token was revoked that the authorizer does not know can only be asked of PostgreSQL. API Gateway
    answers for an authorizer that fails, and knows no reason to name: readiness and the log do.
    """
    assert answers
    for answer in answers.values():
        problem = assert_problem(answer, 503)
        assert problem["code"] == "unavailable"
        assert problem["detail"] == "Who is asking cannot be told for now."
        assert int(answer.headers["retry-after"]) > 0


def assert_told(clone: Clone, before: int, number: int) -> None:
    """Assert that since `before` the authorizer's log names PostgreSQL for each refused request."""
    assert log_of_authorizer(clone)[before:].count("postgresql does not answer") >= number


def log_of_authorizer(clone: Clone) -> str:
    """Return all that the authorizer has logged."""
    return (clone.paths.logs / "nexus.authorize.log").read_text()


def assert_recovered(clone: Clone, rows: Any) -> None:
    """Assert that all operations work and that nothing of the outage was written."""
    assert clone.api.get(f"{RECORDS}?limit=10000").json() == rows
    assert clone.api.get(f"{DATASETS}/never_made").status == 404
    event = insert(clone)
    eventually(lambda: stored(clone, event), seconds=BACK_OFF)


def test_without_postgresql_requests_get_503_and_recover(vandal: Clone) -> None:
    # Given
    insert(vandal)
    rows = vandal.api.get(f"{RECORDS}?limit=10000").json()
    event = an_event()
    before = len(log_of_authorizer(vandal))
    stranger = f"Bearer {vandal.token('admin')}"
    assert vandal.api.get(DATASETS).status == 200
    definition = vandal.api.get(f"{DATASETS}/kept")
    vandal.service("postgres").stop()
    # When
    answers = requests(vandal)
    remembered = vandal.api.get(f"{DATASETS}/kept")
    strangers = requests(vandal, Authorization=stranger)
    again = requests(vandal)
    live = vandal.api.get("/v1/lake/health/live")
    health = vandal.api.get("/v1/lake/health/ready")
    refused = vandal.api.post(EVENTS, event, CLOUD_EVENT)
    vandal.restart("postgres")
    # Then
    assert_unavailable(answers)
    assert_unavailable(again)
    assert remembered.json() == definition.json()
    assert remembered.headers["x-cache"] in {"hit-l1", "hit-l2"}
    assert_unavailable({"POST events": refused})
    assert_unknown(strangers)
    assert_told(vandal, before, len(strangers))
    assert live.status == 200
    assert (health.status, health.json()["status"]) == (503, "down")
    down = [item["name"] for item in health.json()["checks"] if item["status"] == "down"]
    assert down == ["postgresql"]
    assert_recovered(vandal, rows)
    assert not stored(vandal, event["id"])
    assert vandal.api.post(EVENTS, event, CLOUD_EVENT).status == 202
    eventually(lambda: stored(vandal, event["id"]), seconds=BACK_OFF)


def test_a_postgresql_that_hangs_is_as_good_as_none(vandal: Clone) -> None:
    # Given
    insert(vandal)
    rows = vandal.api.get(f"{RECORDS}?limit=10000").json()
    time.sleep(FRESH)
    assert vandal.api.get(RECORDS).status == 200  # its sender is known for the next seconds
    time.sleep(1.1)  # warm connections younger than this are used without being asked first
    servers = [pid for pid, line in processes_of(vandal.folder).items() if "postgres" in line]
    # When
    for pid in servers:
        kill(pid, signal.SIGSTOP)
    try:
        answers = requests(vandal, f"GET {RECORDS}", f"POST {RECORDS}")
    finally:
        for pid in servers:
            kill(pid, signal.SIGCONT)
    # Then
    assert_unavailable(answers)
    assert_recovered(vandal, rows)


def test_connections_cut_by_the_server_are_replaced(vandal: Clone) -> None:
    # Given
    insert(vandal)
    servers = [pid for pid, line in processes_of(vandal.folder).items() if " idle" in line]
    # When
    for pid in servers:
        kill(pid, signal.SIGTERM)
    eventually(lambda: not set(servers) & set(processes_of(vandal.folder)))
    answers = [vandal.api.get(RECORDS), vandal.api.get(EVENTS), vandal.api.get(DATASETS)]
    # Then
    assert servers
    assert [answer.status for answer in answers] == [200, 200, 200]
