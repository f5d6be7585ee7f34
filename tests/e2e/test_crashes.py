"""`kill -9` on any part, then `up`: everything answers, nothing is lost."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.clone import Clone, eventually, kill
from tests.e2e.processes import processes_of
from tests.e2e.web import Web

DATASETS = "/v1/lake/datasets"
RECORDS = f"{DATASETS}/kept/records"
PARTS = ("postgres", "redis", "rabbitmq", "aws", "api")


def assert_whole(clone: Clone, mark: str) -> None:
    """Assert that data goes in, out and through the broker, and that earlier data is there."""
    api = clone.api
    answer = api.post(RECORDS, [{"id": mark}])
    assert answer.status == 201, answer.body
    event = answer.json()["event_id"]
    eventually(lambda: event in _events(api))
    rows = [row["id"] for row in api.get(f"{RECORDS}?limit=1000").json()["items"]]
    assert {mark, "first"} <= set(rows)
    for module in ("nexus", "lake", "stream"):
        assert api.get(f"/v1/{module}/health/ready").json()["status"] == "up"


def _events(api: Web) -> list[str]:
    answer = api.get("/v1/stream/events?subject=kept&limit=1000")
    return [event["id"] for event in answer.json()["items"]]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_killed(vandal: Clone, part: str) -> None:
    # Given
    before = vandal.pids()
    # When
    kill(before[part])
    vandal.up()
    # Then
    after = vandal.pids()
    assert after[part] != before[part]
    untouched = set(PARTS) - {part}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert_whole(vandal, f"after {part}")


def test_the_fork_server_is_killed_and_nobody_need_do_anything(vandal: Clone) -> None:
    # Given
    before = vandal.pids()
    runners = [pid for pid, line in processes_of(vandal.folder).items() if "fork_server" in line]
    # When
    for pid in runners:
        kill(pid)
    eventually(lambda: vandal.api.get(f"{DATASETS}/kept").status == 200)
    # Then
    assert vandal.pids() == before
    assert_whole(vandal, "after the fork server")


def test_everything_is_killed_at_once(vandal: Clone) -> None:
    # When
    for pid in processes_of(vandal.folder):
        kill(pid)
    vandal.up()
    # Then
    assert set(vandal.pids()) == set(PARTS)
    assert_whole(vandal, "after everything")


def test_what_hangs_is_said_and_down_ends_it(vandal: Clone) -> None:
    # Given
    pids = vandal.pids()
    for part in ("redis", "aws", "api"):
        kill(pids[part], signal.SIGSTOP)
    # When
    status = vandal.run("status")
    down = vandal.run("down")
    left = processes_of(vandal.folder)
    vandal.up()
    # Then
    assert status.returncode == 1
    assert status.stdout.count("runs but does not answer") == 3
    assert down.returncode == 0, down.stdout
    assert left == {}
    assert_whole(vandal, "after the hang")
