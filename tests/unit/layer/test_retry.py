"""Retries: how often, when, and when not."""

from __future__ import annotations

import time

import pytest
from datapunk.errors import UnavailableError
from datapunk.retry import RetryBudget, RetryPolicy, retrying
from hypothesis import given
from hypothesis import strategies as st

QUICK = RetryPolicy(attempts=3, initial=0.001)


def _failing(times: int, made: list[int]) -> object:
    def attempt(number: int) -> str:
        made.append(number)
        if number <= times:
            raise UnavailableError("lake")
        return "done"

    return attempt


def _run(times: int, policy: RetryPolicy = QUICK, **more: object) -> list[int]:
    made: list[int] = []
    settings = {"again": lambda _: True, "remaining": lambda: 60.0, **more}
    try:
        retrying(_failing(times, made), policy, **settings)  # type: ignore[arg-type]
    except UnavailableError:
        made.append(-1)
    return made


def test_it_is_tried_until_it_succeeds_or_has_been_tried_often_enough() -> None:
    # Given / When / Then
    assert _run(0) == [1]
    assert _run(2) == [1, 2, 3]
    assert _run(9) == [1, 2, 3, -1]
    assert _run(9, RetryPolicy(attempts=1)) == [1, -1]


def test_what_may_not_be_repeated_is_not() -> None:
    # Given / When / Then
    assert _run(1, again=lambda _: False) == [1, -1]


def test_nothing_begins_after_the_deadline() -> None:
    # Given
    policy = RetryPolicy(initial=5.0, jitter=False)
    started = time.monotonic()
    # When
    made = _run(1, policy, remaining=lambda: 1.0)
    # Then
    assert made == [1, -1]
    assert time.monotonic() - started < 1


def test_pauses_double_from_one_second() -> None:
    # Given
    policy = RetryPolicy(jitter=False)
    # When / Then
    assert [policy.pause(number) for number in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert policy.pause(50) == policy.longest


@given(st.integers(1, 60))
def test_a_pause_with_full_jitter_is_anything_up_to_that(number: int) -> None:
    # Given / When
    pause = RetryPolicy().pause(number)
    # Then
    assert 0 <= pause <= RetryPolicy(jitter=False).pause(number)


def test_a_budget_is_used_up_and_filled_by_calls() -> None:
    # Given
    budget = RetryBudget(share=0.5, most=2.0)
    # When
    taken = [budget.withdraw() for _ in range(3)]
    budget.deposit()
    budget.deposit()
    # Then
    assert taken == [True, True, False]
    assert budget.withdraw()
    assert not budget.withdraw()


def test_without_budget_it_is_tried_once() -> None:
    # Given
    budget = RetryBudget(share=0.0, most=1.0)
    # When / Then
    assert _run(9, budget=budget) == [1, 2, -1]
    assert _run(9, budget=budget) == [1, -1]


def test_other_errors_leave_at_once() -> None:
    # Given / When / Then
    with pytest.raises(ZeroDivisionError):
        retrying(lambda _: 1 // 0, QUICK, again=lambda _: False, remaining=lambda: 9.0)
