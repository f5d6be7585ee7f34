"""GET /v1/nexus/requests/{request}: answers to requests that outlast the gateway."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from tests.support.invoking import Invoker
from tests.support.people import rows
from tests.support.routing import ANN, Upstream, add_route, ask, read_later
from tests.support.workers import Workers

pytestmark = pytest.mark.usefixtures("authority")


def test_a_slow_request_becomes_202_and_its_answer_is_readable(
    upstream: Upstream, workers: Workers
) -> None:
    # Given a gateway that waits for 3.5 s, and a service that takes 4
    began = time.monotonic()
    # When
    accepted = ask("/slow/4", seconds=3.5, **ANN)
    # Then
    assert accepted.status == 202, accepted.body
    assert time.monotonic() - began < 3.5
    assert accepted.headers["location"] == f"/v1/nexus/requests/{accepted.json['id']}"
    assert accepted.json["status"] == "waiting"
    assert read_later(accepted).status == 202
    assert workers.outcomes() == ["done"]
    done = read_later(accepted)
    assert (done.status, done.json["path"]) == (200, "/slow/4")
    assert done.headers["x-request-expires"] == accepted.json["expires_at"].replace("Z", "+00:00")
    assert workers.started[0][0] == "datapunk-test-nexus-run_request"


def test_what_changes_something_is_sent_once(upstream: Upstream, workers: Workers) -> None:
    # Given / When
    accepted = ask("/slow/4", "POST", body={"amount": 1}, seconds=3.5, **ANN)
    assert workers.outcomes() == ["done"]
    # Then
    assert accepted.status == 202
    assert upstream.methods() == ["POST"]
    assert read_later(accepted).json["body"] == '{"amount": 1}'


def test_a_worker_that_is_quick_answers_in_place_of_202(
    upstream: Upstream, workers: Workers
) -> None:
    # Given / When
    answered = ask("/status/201", "POST", body={}, **ANN)
    # Then
    assert answered.status == 201
    assert answered.json["path"] == "/status/201"
    assert upstream.methods() == ["POST"]


def test_whoever_prefers_not_to_wait_does_not(upstream: Upstream, workers: Workers) -> None:
    # Given / When
    accepted = ask("/things", headers={"Prefer": "respond-async"}, **ANN)
    # Then
    assert accepted.status == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert workers.outcomes() == ["done"]
    assert read_later(accepted).json["path"] == "/things"


def test_a_rule_can_do_without(upstream: Upstream, workers: Workers) -> None:
    # Given
    add_route(background="never")
    # When
    answered = ask("/slow/3", "POST", body={}, seconds=2.5, headers={"Prefer": "respond-async"})
    # Then
    assert (answered.status, answered.json["code"]) == (504, "deadline_exceeded")
    assert workers.started == []


def test_only_its_sender_reads_the_answer(upstream: Upstream, workers: Workers) -> None:
    # Given
    accepted = ask("/things", headers={"Prefer": "respond-async"}, **ANN)
    workers.outcomes()
    rows("INSERT INTO nexus.tenants (id, name) VALUES ('acme', 'Acme') RETURNING id")
    # When / Then
    assert read_later(accepted).status == 200
    assert read_later(accepted, principal="user:bob", roles="admin").status == 404
    assert read_later(accepted, tenant="acme").status == 404
    # Nor does he himself with a token that could not have asked
    assert read_later(accepted, scopes="write").status == 403


def test_a_failure_is_told_as_it_would_have_been(upstream: Upstream, workers: Workers) -> None:
    # Given
    add_route(timeout_seconds=0.5)
    # When
    accepted = ask("/slow/3", headers={"Prefer": "respond-async"}, **ANN)
    # Then
    assert workers.outcomes() == ["failed"]
    told = read_later(accepted)
    assert (told.status, told.json["code"]) == (504, "deadline_exceeded")


def test_what_was_sent_is_forgotten_when_it_is_answered(
    upstream: Upstream, workers: Workers
) -> None:
    # Given / When
    ask("/things", "POST", body={"secret": "x"}, headers={"Prefer": "respond-async"}, **ANN)
    workers.outcomes()
    # Then
    assert rows("SELECT work FROM nexus.requests") == [{"work": None}]


def test_a_request_that_nobody_made(invoke: Invoker, database: str) -> None:
    # Given / When
    answered = invoke("nexus.get_request", path={"request": str(uuid4())}, **ANN)
    # Then
    assert (answered.status, answered.fields) == (404, {"request": "not_found"})
