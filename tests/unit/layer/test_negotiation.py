"""Content negotiation (RFC 9110, 12.5.1) for any header."""

from __future__ import annotations

import pytest
from datapunk.http import negotiate
from hypothesis import given
from hypothesis import strategies as st

OFFERED = ("application/json", "application/x-ndjson", "text/csv")
RANKED = st.lists(
    st.tuples(st.sampled_from([*OFFERED, "text/html"]), st.sampled_from([1.0, 0.9, 0.5, 0.1, 0.0])),
    max_size=6,
)


@given(RANKED)
def test_the_best_liked_offer_wins_and_the_first_of_equals(ranked: list[tuple[str, float]]) -> None:
    # Given
    header = ", ".join(f"{media_type};q={quality}" for media_type, quality in ranked)
    # When
    chosen = negotiate(header, OFFERED, "application/json")
    # Then
    liked = [item for item in ranked if item[0] in OFFERED and item[1] > 0]
    best = max(liked, key=lambda item: item[1])[0] if liked else "application/json"
    assert chosen == best


@given(st.one_of(st.none(), st.text(max_size=100)))
def test_any_header_gives_an_offer(header: str | None) -> None:
    # Given / When
    chosen = negotiate(header, OFFERED, "application/json")
    # Then
    assert chosen in OFFERED


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("*/*", "application/json"),
        ("TEXT/CSV", "text/csv"),
        ("text/html, text/csv;q=0.2", "text/csv"),
        ("text/csv;q=abc", "application/json"),
        ("text/csv;q=0, */*;q=0.1", "application/json"),
        ("application/x-ndjson; charset=utf-8", "application/x-ndjson"),
    ],
)
def test_what_clients_send(header: str, chosen: str) -> None:
    # Given / When / Then
    assert negotiate(header, OFFERED, "application/json") == chosen
