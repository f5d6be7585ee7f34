"""The work in hand: trace, correlation, deadline."""

from __future__ import annotations

import re
import time

import pytest
from datapunk.context import (
    Trace,
    WorkContext,
    carried_headers,
    continue_correlation,
    continue_trace,
    current,
    deadline_of,
    remaining_seconds,
    working,
)
from datapunk.identity import Caller
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.lambda_context import LambdaContext

HEX = "0123456789abcdef"
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def _work(operation: str = "lake.get_dataset", seconds: float = 5) -> WorkContext:
    trace = Trace("a" * 32, "b" * 16)
    return WorkContext(operation, "c", trace, time.monotonic() + seconds, Caller())


@given(trace=st.text(HEX, min_size=32, max_size=32), span=st.text(HEX, min_size=16, max_size=16))
@example(trace="0" * 32, span="1" * 16)
def test_a_traceparent_is_continued_with_a_new_span(trace: str, span: str) -> None:
    # Given
    header = f"00-{trace}-{span}-01"
    # When
    continued = continue_trace(header, None)
    # Then W3C Trace Context 3.2.2.3: an all-zero trace id is invalid
    assert (continued.trace_id == trace) is (int(trace, 16) != 0)
    assert continued.span_id != span
    assert TRACEPARENT.fullmatch(continued.header())


@given(st.text(max_size=80))
def test_any_other_traceparent_starts_a_new_trace(header: str) -> None:
    # Given / When
    first, second = continue_trace(header, None), continue_trace(header, None)
    # Then
    assert first.trace_id != second.trace_id
    assert TRACEPARENT.fullmatch(first.header())


def test_an_xray_header_is_continued_as_the_same_trace() -> None:
    # Given
    header = "Root=1-691f9c00-3a1f2b4c5d6e7f8091a2b3c4;Parent=53995c3f42cd8ad8;Sampled=1"
    # When
    trace = continue_trace(None, header)
    # Then
    assert trace.trace_id == "691f9c003a1f2b4c5d6e7f8091a2b3c4"


def test_a_traceparent_beats_xray() -> None:
    # Given
    xray = "Root=1-691f9c00-3a1f2b4c5d6e7f8091a2b3c4"
    # When
    trace = continue_trace(f"00-{'a' * 32}-{'b' * 16}-00", xray)
    # Then
    assert trace.trace_id == "a" * 32


@given(st.text(max_size=200))
@example("order-42")
@example("x" * 129)
@example("a\n")
@example("")
def test_a_correlation_id_is_echoed_only_when_it_is_safe(given_id: str) -> None:
    # Given / When
    used = continue_correlation(given_id)
    # Then
    assert re.fullmatch(r"[A-Za-z0-9._:@/+=-]{1,128}", used)
    if re.fullmatch(r"[A-Za-z0-9._:@/+=-]{1,128}", given_id):
        assert used == given_id


def test_without_a_correlation_id_each_request_gets_its_own() -> None:
    # Given / When / Then
    assert continue_correlation(None) != continue_correlation(None)


def test_the_context_ends_with_its_body_also_after_an_error() -> None:
    # Given
    work = _work()
    # When
    with pytest.raises(RuntimeError), working(work):  # noqa: PT012 -- the body is the subject
        assert current() is work
        assert work.service == "lake"
        raise RuntimeError
    # Then
    assert current() is None
    assert carried_headers() == {}


def test_the_context_is_carried_to_the_next_service() -> None:
    # Given
    work = _work()
    # When
    with working(work):
        carried = carried_headers()
    # Then
    assert carried == {"traceparent": work.trace.header(), "correlationid": "c"}


def test_a_deadline_is_before_the_end_of_the_function() -> None:
    # Given
    context = LambdaContext(seconds=10)
    # When
    deadline = deadline_of(context, margin=0.5)
    # Then
    assert deadline < time.monotonic() + 9.5
    assert deadline_of(object()) > time.monotonic() + 3000


@pytest.mark.parametrize("seconds", [-5.0, 0.0])
def test_no_time_left_is_zero_never_less(seconds: float) -> None:
    # Given
    work = _work(seconds=seconds)
    # When / Then
    with working(work):
        assert remaining_seconds() == 0
    assert remaining_seconds() == 3600
