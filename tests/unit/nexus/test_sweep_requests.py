"""nexus.sweep_requests: what nobody has begun or finished, and what is over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import run
from tests.support.people import rows
from tests.support.routing import ANN, Upstream, ask, read_later
from tests.support.samples import load_sample
from tests.support.workers import Workers

pytestmark = pytest.mark.usefixtures("authority")


def swept() -> dict[str, Any]:
    """Run the sweep and return what it did."""
    done: dict[str, Any] = run("nexus.sweep_requests", load_sample("nexus.sweep_requests"))
    return done


def test_nothing_accepted_is_lost_when_no_worker_starts(
    upstream: Upstream, workers: Workers
) -> None:
    # Given
    workers.refuses = True
    accepted = ask("/things", headers={"Prefer": "respond-async"}, **ANN)
    assert accepted.status == 202
    # When
    workers.refuses = False
    rows("UPDATE nexus.requests SET created_at = created_at - interval '1 minute' RETURNING id")
    assert swept()["started"] == 1
    # Then
    assert workers.outcomes() == ["done"]
    assert read_later(accepted).status == 200


def test_an_answer_is_kept_for_a_day(upstream: Upstream, workers: Workers) -> None:
    # Given
    accepted = ask("/things", headers={"Prefer": "respond-async"}, **ANN)
    workers.outcomes()
    # When
    rows("UPDATE nexus.requests SET expires_at = clock_timestamp() RETURNING id")
    # Then
    assert read_later(accepted).status == 404
    assert swept() == {"started": 0, "expired": 1}


def test_what_is_being_done_is_left_alone(upstream: Upstream, workers: Workers) -> None:
    # Given a request that waits for its worker, as it may for a while
    workers.refuses = True
    ask("/things", headers={"Prefer": "respond-async"}, **ANN)
    # When / Then
    assert swept() == {"started": 0, "expired": 0}
