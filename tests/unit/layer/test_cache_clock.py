"""Versions never go back, whatever clocks say; ages go on while a process is stopped."""

from __future__ import annotations

import pytest
from datapunk.cache import clock
from datapunk.cache.clock import MAX_AHEAD_MS, MAX_VERSION, HybridClock, physical_ms
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_795_000_000_000
SKEW = st.integers(-10_000, 10_000)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), SKEW), max_size=60))
def test_what_follows_something_has_a_higher_version(steps: list[tuple[int, int, int]]) -> None:
    # Given processes whose clocks jump, and who tell each other what they did
    walls = [NOW, NOW, NOW]
    clocks = [HybridClock(lambda place=place: walls[place]) for place in range(3)]  # type: ignore[misc]
    known: list[int] = [0, 0, 0]
    for giver, taker, jump in steps:
        walls[giver] = NOW + jump
        # When
        version = clocks[giver].tick()
        # Then it is higher than all its giver has given or heard of
        assert known[giver] < version <= MAX_VERSION
        known[giver] = version
        clocks[taker].see(version)
        known[taker] = max(known[taker], version)


def test_a_version_says_when_it_was_given() -> None:
    # Given
    ours = HybridClock(lambda: NOW)
    # When
    versions = [ours.tick() for _ in range(100)]
    # Then
    assert [physical_ms(version) for version in versions] == [NOW] * 100
    assert len(set(versions)) == 100


def test_a_clock_that_is_far_ahead_is_not_followed() -> None:
    # Given
    ours = HybridClock(lambda: NOW)
    broken = HybridClock(lambda: NOW + MAX_AHEAD_MS + 1)
    # When
    ours.see(broken.tick())
    # Then
    assert physical_ms(ours.tick()) == NOW


@pytest.mark.parametrize(
    ("boot", "wall", "age"), [(3.0, 7.0, 7.0), (7.0, 3.0, 7.0), (3.0, -90.0, 3.0)]
)
def test_the_clock_that_went_on_counts(
    monkeypatch: pytest.MonkeyPatch, boot: float, wall: float, age: float
) -> None:
    # Given a process that was stopped while one of its clocks was, or one that was set back
    since = clock.now()
    monkeypatch.setattr(clock, "now", lambda: (since[0] + boot, since[1] + wall))
    # When / Then
    assert clock.age(since) == pytest.approx(age)
