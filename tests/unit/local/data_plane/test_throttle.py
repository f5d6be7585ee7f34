"""The token bucket of a stage."""

from __future__ import annotations

from infrastructure.local.data_plane.throttle import Bucket


def test_burst_then_rate() -> None:
    # Given a clock that only the test moves
    now = [0.0]
    bucket = Bucket(2, 10.0, clock=lambda: now[0])
    # Then the burst passes, and then as many as the rate refills
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now[0] = 0.1
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_no_limits() -> None:
    bucket = Bucket(None, None)
    assert all(bucket.take() for _ in range(1000))
