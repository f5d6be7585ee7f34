"""nexus.run_request: what was accepted is sent once, whatever becomes of the workers."""

from __future__ import annotations

from uuid import UUID

import pytest
from datapunk.nexus.routing.requests import sweep

from tests.support.invoking import run
from tests.support.people import rows
from tests.support.routing import ANN, Upstream, add_route, ask, instances, read_later
from tests.support.services import eventually
from tests.support.workers import Workers, start

pytestmark = pytest.mark.usefixtures("authority")


@pytest.mark.parametrize(
    ("headers", "outcome", "status", "sent"),
    [
        ({}, "not_mine", 502, ["POST"]),
        ({"Idempotency-Key": "k-1"}, "done", 200, ["POST", "POST"]),
    ],
    ids=["not to be repeated", "with a key"],
)
def test_a_worker_that_dies_midway(
    upstream: Upstream,
    workers: Workers,
    headers: dict[str, str],
    outcome: str,
    status: int,
    sent: list[str],
) -> None:
    # Given
    upstream.control(seconds=30)
    prefer = {"Prefer": "respond-async", **headers}
    accepted = ask("/things", "POST", body={}, headers=prefer, **ANN)
    eventually(lambda: upstream.methods() == ["POST"])
    # When
    workers.kill()
    upstream.control(status=200)
    rows("UPDATE nexus.requests SET started_at = started_at - interval '2 minutes' RETURNING id")
    assert sweep()["started"] == 1
    # Then it is said that nobody knows, or done once more under the same key
    assert workers.outcomes() == [outcome]
    assert read_later(accepted).status == status
    assert upstream.methods() == sent


def test_many_workers_send_a_request_once(upstream: Upstream, workers: Workers) -> None:
    # Given
    workers.refuses = True
    accepted = ask("/things", "POST", body={}, headers={"Prefer": "respond-async"}, **ANN)
    # When Lambda delivers the event several times
    payload = f'{{"request": "{accepted.json["id"]}"}}'.encode()
    workers.running += [start(payload) for _ in range(3)]
    # Then
    assert sorted(workers.outcomes()) == ["done", "not_mine", "not_mine"]
    assert upstream.methods() == ["POST"]


def test_a_copy_goes_to_the_shadow_and_its_answer_to_nobody(
    upstream: Upstream, workers: Workers
) -> None:
    # Given
    with instances("mirror-1", service="mirror") as (mirror,):
        mirror.control(status=500)
        add_route(timeout="ai", shadow={"target": "mirror"})
        # When
        read, written = ask("/things"), ask("/things", "POST", body={})
        # Then what changes something is not copied unless the rule asks for it
        assert workers.outcomes() == ["done"]
        assert (read.status, written.status) == (200, 200)
        assert mirror.methods() == ["GET"]
        assert ["x-datapunk-shadow", "1"] in mirror.seen()[0]["headers"]
        assert "x-datapunk-shadow" not in str(upstream.seen())
        # When
        add_route(timeout="ai", shadow={"target": "mirror", "unsafe": True})
        ask("/things", "POST", body={})
        # Then
        assert workers.outcomes() == ["done"]
        assert mirror.methods() == ["GET", "POST"]


def test_an_event_without_work_does_nothing(database: str) -> None:
    # Given / When / Then
    assert run("nexus.run_request", {}) == {"outcome": "nothing"}
    unknown = {"request": str(UUID(int=1))}
    assert run("nexus.run_request", unknown) == {"outcome": "not_mine"}
