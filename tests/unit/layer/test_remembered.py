"""What the authorizer remembers: how long, of whom, how much, and what it says while nobody can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from datapunk.errors import ContentionError, UnauthenticatedError, UnavailableError
from datapunk.identity import Caller
from datapunk.nexus.remembered import FRESH, MOST, PAUSE, STALE, Memory
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock

ANN = Caller("user:1", "acme")
BOB = Caller("user:2", "acme")


class Source:
    """Where a memory looks: says a caller or raises, and counts how often it was asked."""

    def __init__(self, caller: Caller = ANN) -> None:
        self.answer: Caller | Exception = caller
        self.asked = 0

    def __call__(self) -> Caller:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> Memory:
    return clock.memory()


def test_an_outcome_stands_for_the_bound_and_no_longer(memory: Memory, clock: Clock) -> None:
    # Given
    source = Source()
    memory.recall("token", "x", source)
    # When it is used all the time, which does not prolong it
    for _ in range(4):
        clock.pass_by(FRESH / 4 - 0.01)
        assert memory.recall("token", "x", source) == ANN
    assert source.asked == 1
    source.answer = UnauthenticatedError()
    clock.pass_by(0.05)
    # Then
    with pytest.raises(UnauthenticatedError):
        memory.recall("token", "x", source)


def test_a_refusal_is_final_though_the_next_look_fails(memory: Memory, clock: Clock) -> None:
    # Given a credential that is known, then refused
    source = Source()
    memory.recall("key", "x", source)
    clock.pass_by(FRESH)
    source.answer = UnauthenticatedError()
    with pytest.raises(UnauthenticatedError):
        memory.recall("key", "x", source)
    # When
    source.answer = UnavailableError("postgresql")
    # Then
    with pytest.raises(UnavailableError):
        memory.recall("key", "x", source)


@pytest.mark.parametrize("seconds", [0.5, 3.0, 4.9])
def test_nothing_outlives_the_credential(memory: Memory, clock: Clock, seconds: float) -> None:
    # Given
    source = Source(replace(ANN, valid_until=clock.wall + seconds))
    memory.recall("session", "x", source)
    source.answer = UnavailableError("redis")
    # When
    clock.pass_by(seconds)
    # Then not even while nobody can be asked
    with pytest.raises(UnavailableError):
        memory.recall("session", "x", source)


def test_while_nobody_can_be_asked_the_longer_bound_holds(memory: Memory, clock: Clock) -> None:
    # Given
    source = Source()
    memory.recall("token", "x", source)
    source.answer = UnavailableError("postgresql")
    # When / Then what is remembered goes on; what is not cannot be told
    for _ in range(11):
        clock.pass_by(FRESH)  # no less than the pause, so that it is asked each time
        assert memory.recall("token", "x", source) == ANN
        with pytest.raises(UnavailableError):
            memory.recall("token", "y", source)
    clock.pass_by(FRESH)
    assert clock.monotonic - 1_000 == STALE
    with pytest.raises(UnavailableError):
        memory.recall("token", "x", source)


def test_a_service_that_did_not_answer_is_left_alone_for_a_moment(
    memory: Memory, clock: Clock
) -> None:
    # Given
    source = Source()
    memory.recall("token", "x", source)
    clock.pass_by(FRESH)
    source.answer = UnavailableError("postgresql")
    memory.recall("token", "x", source)
    # When
    for _ in range(10):
        clock.pass_by(PAUSE / 11)
        memory.recall("token", "x", source)
    # Then it was asked once, and is asked again after the pause
    assert source.asked == 2
    source.answer = UnauthenticatedError()
    clock.pass_by(PAUSE)
    with pytest.raises(UnauthenticatedError):
        memory.recall("token", "x", source)


def test_contention_is_no_outage(memory: Memory, clock: Clock) -> None:
    # Given
    source = Source()
    memory.recall("token", "x", source)
    clock.pass_by(FRESH)
    source.answer = ContentionError("postgresql")
    # When / Then
    with pytest.raises(ContentionError):
        memory.recall("token", "x", source)


@pytest.mark.parametrize("moved", ["monotonic", "wall"])
def test_one_clock_alone_is_enough_to_age(memory: Memory, clock: Clock, moved: str) -> None:
    # Given an environment that was frozen, or whose clock was set
    source = Source()
    memory.recall("token", "x", source)
    # When
    setattr(clock, moved, getattr(clock, moved) + FRESH)
    memory.recall("token", "x", source)
    # Then
    assert source.asked == 2


@given(
    first=st.tuples(st.sampled_from(["token", "key"]), st.text()),
    second=st.tuples(st.sampled_from(["token", "key"]), st.text()),
)
def test_credentials_are_told_apart_by_all_of_them(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    # Given
    memory = Memory()
    memory.recall(*first, Source(ANN))
    # When
    found = memory.recall(*second, Source(BOB))
    # Then
    assert found == (ANN if first == second else BOB)


def test_it_is_bounded(memory: Memory) -> None:
    # Given
    sources: list[Callable[[], Caller]] = [Source() for _ in range(MOST + 1)]
    # When
    for number, source in enumerate(sources):
        memory.recall("token", str(number), source)
    again = Source(BOB)
    # Then the first has made room, and only it
    assert memory.recall("token", str(MOST), again) == ANN
    assert memory.recall("token", "1", again) == ANN
    assert memory.recall("token", "0", again) == BOB
