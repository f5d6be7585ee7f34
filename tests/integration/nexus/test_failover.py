"""Instances that die under load: who asks notices nothing, and who has died is asked no more."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk import registry
from datapunk.registry import PLATFORM, Check, Registration, Status

from tests.support.routing import SERVICE, Upstream, add_route, ask, instances, running
from tests.support.samples import PROJECT
from tests.support.workers import PATHS

pytestmark = pytest.mark.usefixtures("authority")

LOAD = """
import json, os, sys, time
from tests.support.routing import ask
sys.stdout.flush()
own = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
ask("/things")
os.write(own, b"ready\\n")
end = time.monotonic() + float(sys.argv[1])
found = []
while time.monotonic() < end:
    answered = ask("/things", headers={"Accept": "application/json"})
    found.append([time.time(), answered.status, json.loads(answered.body).get("instance")])
os.write(own, json.dumps(found).encode())
"""
"""Asks again and again, in a process of its own as each environment of Lambda is."""


@contextlib.contextmanager
def load(clients: int, seconds: float) -> Iterator[list[subprocess.Popen[str]]]:
    """Have clients ask for so long; they have all begun when the body does."""
    import os

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(seconds)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(clients)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=10)


def answers(processes: list[subprocess.Popen[str]]) -> list[list[Any]]:
    """Return the time, status and instance of every answer."""
    found: list[list[Any]] = []
    for process in processes:
        said, _ = process.communicate(timeout=60)
        found += json.loads(said)
    return sorted(found)


def test_one_of_three_dies_under_load_and_nobody_notices(database: str) -> None:
    # Given three instances, one twice as strong, and four environments that ask all the time
    with instances("one", "two", "three") as found:
        add_route(timeout="ai")
        # When
        with load(4, seconds=4) as clients:
            time.sleep(1.5)
            victim = found[0]
            victim.kill()
            died = time.time()
            asked = answers(clients)
        # Then every request was answered, and within a second nothing came near the dead one
        assert Counter(status for _, status, _ in asked) == {200: len(asked)}
        before = Counter(name for at, _, name in asked if at < died - 0.2)
        # What it has answered while it was being killed may be read a moment later.
        after = Counter(name for at, _, name in asked if at > died + 0.2)
        assert set(before) == {"one", "two", "three"}
        assert set(after) == {"two", "three"}
        assert after["two"] == pytest.approx(after["three"], rel=0.1, abs=5)


def test_who_comes_back_is_tried_by_one_probe_and_takes_its_turns_again(database: str) -> None:
    # Given an instance that is ejected for a second
    with instances("one", "two") as (one, two):
        add_route(timeout="ai", ejection={"failures": 3, "base_seconds": 1})
        one.control(status=503)
        assert [ask("/things").status for _ in range(8)] == [200] * 8
        tried = len(one.seen())
        assert tried == 3
        # When
        one.control(status=503, seconds=0)
        time.sleep(1.05)
        assert [ask("/things").status for _ in range(10)] == [200] * 10
        # Then exactly one request has tried it, and the caller got his answer from the other one
        assert len(one.seen()) == tried + 1
        # When it is well, it is tried once its second, longer pause is over
        one.control(status=200)
        time.sleep(2.05)
        named = Counter(ask("/things").json["instance"] for _ in range(10))
        assert named["one"] == named["two"] == 5
        assert len(two.seen()) > 10


def _probed(upstream: Upstream) -> Check:
    return Check(
        id=f"service:{upstream.name}",
        instance=upstream.name,
        kind="http",
        target=f"http://127.0.0.1:{upstream.port}/health",
        failures=3,
    )


def test_an_instance_that_fails_three_probes_gets_no_traffic(database: str) -> None:
    # Given two instances that the registry probes
    with running("one") as one, running("two") as two:
        for upstream in (one, two):
            registry.register(
                PLATFORM,
                Registration(
                    id=upstream.name, service=SERVICE, address="127.0.0.1", port=upstream.port
                ),
                [(_probed(upstream), Status.PASSING)],
                owner="service:tests",
            )
        registry.forget()
        add_route(timeout="ai")
        assert {ask("/things").json["instance"] for _ in range(4)} == {"one", "two"}
        # When
        for _ in range(3):
            registry.judge(PLATFORM, _probed(one), success=False, output="refused")
        registry.forget()
        seen = len(one.seen())
        # Then
        assert {ask("/things").json["instance"] for _ in range(10)} == {"two"}
        assert len(one.seen()) == seen


def test_a_request_that_must_not_be_repeated_is_not(database: str) -> None:
    # Given instances that break the connection off after they have got the request
    with instances("one", "two") as (one, two):
        add_route(timeout="ai")
        one.control(status=503)
        two.control(status=503)
        # When
        plain = ask("/things", "POST", body={})
        sent = len(one.seen()) + len(two.seen())
        keyed = ask("/things", "POST", body={}, headers={"Idempotency-Key": "k"})
        # Then
        assert (plain.status, sent) == (503, 1)
        assert keyed.status == 503
        assert len(one.seen()) + len(two.seen()) == 3


def test_what_never_arrived_is_sent_elsewhere_whatever_it_is(database: str) -> None:
    # Given an instance whose port nobody listens on any more
    with instances("one", "two") as (one, _):
        add_route(timeout="ai")
        one.kill()
        # When
        named = [ask("/things", "POST", body={}) for _ in range(6)]
        # Then
        assert [answered.status for answered in named] == [200] * 6
        assert {answered.json["instance"] for answered in named} == {"two"}


def test_a_service_that_fails_as_a_whole_is_left_alone(database: str) -> None:
    # Given
    with instances("one") as (one,):
        add_route(timeout="ai", ejection={"failures": 100})
        one.control(status=503)
        # When its breaker has seen five failures in a row
        told = [ask("/things") for _ in range(8)]
        # Then
        assert [answered.status for answered in told] == [503] * 8
        assert len(one.seen()) == 5
        assert told[-1].json["code"] == "circuit_open"
        assert int(told[-1].headers["retry-after"]) > 50


def test_no_more_at_once_than_the_rule_allows(database: str) -> None:
    # Given
    with instances("one") as (one,):
        add_route(timeout="ai", concurrency=1)
        one.control(seconds=1)
        with load(2, seconds=1.5) as clients:
            asked = answers(clients)
        # Then; who is refused asks again at once, until he has asked more often than anybody may
        assert {status for _, status, _ in asked} - {429} == {200, 503}
