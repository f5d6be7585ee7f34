"""The plan of a day: what was in the same hour of the week, plus a margin; a dry run prints it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infrastructure.scaling.__main__ import main
from infrastructure.scaling.datapoints import DatapointsError, read_datapoints
from infrastructure.scaling.forecast import Limits, forecast_day

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
LIMITS = Limits(margin=0.2, floor=1, ceiling=30)


def _answer(hours: dict[datetime, float]) -> str:
    stamps = [hour.isoformat() for hour in hours]
    return json.dumps(
        {"MetricDataResults": [{"Id": "m", "Timestamps": stamps, "Values": list(hours.values())}]}
    )


def _office(weeks: int = 4) -> dict[datetime, float]:
    """Return hours that are busy (7) on working days from 8 to 18, and else still."""
    first = MONDAY - timedelta(weeks=weeks)
    hours = (first + timedelta(hours=number) for number in range(weeks * 7 * 24))
    return {hour: 7.0 if hour.weekday() < 5 and 8 <= hour.hour < 18 else 0.0 for hour in hours}


def test_a_day_is_as_the_same_weekday_was_plus_the_margin() -> None:
    # Given / When
    monday = forecast_day(_office(), MONDAY, LIMITS)
    sunday = forecast_day(_office(), MONDAY - timedelta(days=1), LIMITS)
    # Then 7 and a fifth, of which 70 % are in use, are 12
    assert [hour.minimum for hour in monday] == [1] * 8 + [12] * 10 + [1] * 6
    assert {hour.minimum for hour in sunday} == {1}
    assert {hour.samples for hour in monday} == {4}


def test_the_ceiling_holds_and_an_hour_without_samples_gets_the_floor() -> None:
    # Given
    hours = {MONDAY - timedelta(weeks=1): 500.0, MONDAY - timedelta(weeks=5, hours=-1): 500.0}
    # When
    plan = forecast_day(hours, MONDAY, LIMITS)
    # Then what is older than four weeks counts no more
    assert [(hour.minimum, hour.samples) for hour in plan[:2]] == [(30, 1), (1, 0)]


def test_datapoints_are_brought_to_hours_in_utc_by_their_largest() -> None:
    # Given
    stamps = ["2026-11-23T09:05:00+01:00", "2026-11-23T08:55:00Z", 1795424400]
    text = json.dumps({"MetricDataResults": [{"Timestamps": stamps, "Values": [3, 5, 1]}]})
    # When / Then
    assert read_datapoints(text) == {
        MONDAY + timedelta(hours=8): 5.0,
        datetime.fromtimestamp(1795424400, UTC): 1.0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"MetricDataResults": []}',
        '{"MetricDataResults": [{"Timestamps": [], "Values": []}]}',
        '{"MetricDataResults": [{"Timestamps": ["2026-11-23T09:00:00Z"], "Values": []}]}',
        '{"MetricDataResults": [{"Timestamps": ["2026-11-23T09:00:00"], "Values": [1]}]}',
        '{"MetricDataResults": [{"Timestamps": ["2026-11-23T09:00:00Z"], "Values": [-1]}]}',
        '{"MetricDataResults": [{"Timestamps": ["2026-11-23T09:00:00Z"], "Values": [NaN]}]}',
    ],
)
def test_what_is_no_answer_of_cloudwatch_is_refused(text: str) -> None:
    with pytest.raises(DatapointsError, match="get-metric-data"):
        read_datapoints(text)


def test_a_dry_run_prints_the_table_and_an_action_per_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    path = tmp_path / "datapoints.json"
    path.write_text(_answer(_office()))
    # When the day is not said, it is the one after the last datapoint
    code = main(["plan", str(path), "--floor", "1", "--resource", "function:f:live"])
    # Then
    text = capsys.readouterr().out
    actions = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert code == 0
    assert "2026-11-23 08:00        7.0        4       12" in text
    assert [
        (action["Schedule"], action["ScalableTargetAction"]["MinCapacity"]) for action in actions
    ] == [
        ("at(2026-11-23T00:00:00)", 1),
        ("at(2026-11-23T08:00:00)", 12),
        ("at(2026-11-23T18:00:00)", 1),
    ]
    assert {action["ResourceId"] for action in actions} == {"function:f:live"}


def test_a_file_that_says_nothing_ends_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
