"""Details of the `aws:rmq` event."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from infrastructure.local.event_sources.rabbitmq_event import header_value, java_time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("aé", {"bytes": [97, -61, -87]}),
        (b"\x00\xff", {"bytes": [0, -1]}),
        (5, 5),
        (None, None),
        (True, True),
        (1.5, 1.5),
        (Decimal("2.5"), 2.5),
        (["a", 1], [{"bytes": [97]}, 1]),
        ({"a": "b"}, {"a": {"bytes": [98]}}),
        (datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC), "Jan 1, 1970, 12:33:41 AM"),
    ],
)
def test_header_value(value: Any, expected: Any) -> None:
    assert header_value(value) == expected


def test_time_after_noon() -> None:
    moment = datetime(2026, 11, 21, 15, 4, 5, tzinfo=UTC).timestamp()
    assert java_time(moment) == "Nov 21, 2026, 3:04:05 PM"
