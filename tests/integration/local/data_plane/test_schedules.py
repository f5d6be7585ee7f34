"""Schedules fire a real function."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from infrastructure.local.catalog import Schedule
from tests.integration.local.data_plane.plane import Plane, eventually


def test_schedule_fires(new_plane: Callable[..., Plane], tmp_path: Path) -> None:
    # Given a schedule that is due in a moment, and one with a payload of its own
    plane = new_plane()
    soon = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 8, UTC)
    expression = f"at({soon:%Y-%m-%dT%H:%M:%S})"
    schedules = tuple(
        Schedule(name=name, function="test-source-collect", expression=expression, payload=payload)
        for name, payload in (("plain", None), ("own", '{"own":true}'))
    )
    function = plane.function("source.collect", environment={"COLLECT": str(tmp_path)})
    # When
    plane.start(plane.catalog(functions=[function], schedules=schedules))
    path = tmp_path / "events.jsonl"
    eventually(lambda: path.exists() and len(path.read_text().splitlines()) == 2, seconds=30)
    # Then
    events = sorted(map(json.loads, path.read_text().splitlines()), key=len)
    assert events[0] == {"own": True}
    assert events[1]["detail-type"] == "Scheduled Event"
    assert events[1]["source"] == "aws.events"
    assert events[1]["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/plain"]
    assert events[1]["time"] == f"{soon:%Y-%m-%dT%H:%M:%SZ}"
