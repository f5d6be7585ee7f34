"""When schedules are due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.event_sources.cron import InvalidScheduleError, Timetable, parse_cron

MONDAY = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)


def due(expression: str, after: datetime = MONDAY, timezone: str = "UTC", count: int = 1) -> str:
    """Return the last of `count` due times."""
    timetable = Timetable(expression, timezone, MONDAY)
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = timetable.next(moment)
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "never"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 10 * * ? *)", "2024-01-02 10:00"),
        ("cron(15 12 * * ? *)", "2024-01-01 12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2024-01-01 18:00"),
        ("cron(0 8 1 * ? *)", "2024-02-01 08:00"),
        ("cron(0/15 * * * ? *)", "2024-01-01 12:15"),
        ("cron(0/10 * ? * MON-FRI *)", "2024-01-01 12:10"),
        ("cron(0 9 ? * 2#1 *)", "2024-02-05 09:00"),
        ("cron(0 13 ? * 2#1 *)", "2024-01-01 13:00"),
        ("cron(0 9 ? * 6L *)", "2024-01-26 09:00"),
        ("cron(0 9 ? * L *)", "2024-01-06 09:00"),
        ("cron(0 9 L * ? *)", "2024-01-31 09:00"),
        ("cron(0 9 LW 3 ? *)", "2024-03-29 09:00"),
        ("cron(0 9 6W * ? *)", "2024-01-05 09:00"),
        ("cron(0 9 1W 9 ? *)", "2024-09-02 09:00"),
        ("cron(0 9 30W 6 ? *)", "2024-06-28 09:00"),
        ("cron(0 9 ? JAN FRI-MON *)", "2024-01-05 09:00"),
        ("cron(0 0 29 2 ? 2025-2030)", "2028-02-29 00:00"),
        ("cron(5,10 12 * * ? 2024)", "2024-01-01 12:05"),
        ("cron(0 0 1 1 ? 2023)", "never"),
        ("cron(0 0 30 2 ? *)", "never"),
        ("rate(1 minute)", "2024-01-01 12:01"),
        ("rate(2 hours)", "2024-01-01 14:00"),
        ("rate(3 days)", "2024-01-04 12:00"),
        ("at(2024-01-01T12:30:00)", "2024-01-01 12:30"),
        ("at(2024-01-01T11:30:00)", "never"),
    ],
)
def test_next_due_time(expression: str, expected: str) -> None:
    assert due(expression) == expected


def test_rate_keeps_its_anchor() -> None:
    # Given a look at the clock that comes late
    late = MONDAY + timedelta(minutes=7, seconds=31)
    # Then
    assert due("rate(5 minutes)", late) == "2024-01-01 12:10"


def test_time_zone() -> None:
    assert due("cron(0 9 * * ? *)", timezone="Europe/Berlin") == "2024-01-02 08:00"
    assert due("at(2024-07-01T09:00:00)", timezone="Europe/Berlin") == "2024-07-01 07:00"


def test_clock_change() -> None:
    # Given the nights in which Berlin puts its clocks forward (2:30 is skipped) and back (twice)
    spring = datetime(2024, 3, 30, 12, 0, tzinfo=UTC)
    autumn = datetime(2024, 10, 26, 12, 0, tzinfo=UTC)
    # Then
    assert due("cron(30 2 * * ? *)", spring, "Europe/Berlin") == "2024-04-01 00:30"
    assert due("cron(30 2 * * ? *)", autumn, "Europe/Berlin") == "2024-10-27 00:30"
    assert due("cron(30 2 * * ? *)", autumn, "Europe/Berlin", 2) == "2024-10-28 01:30"


@pytest.mark.parametrize(
    "expression",
    [
        "every minute",
        "rate(1 minutes)",
        "rate(2 minute)",
        "rate(0 minutes)",
        "rate(1 month)",
        "cron(* * * * *)",
        "cron(0 0 * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 2#6 *)",
        "cron(0/0 * * * ? *)",
        "cron(x * * * ? *)",
        "at(tomorrow)",
    ],
)
def test_expression_that_is_none(expression: str) -> None:
    with pytest.raises(InvalidScheduleError):
        Timetable(expression, "UTC", MONDAY)


MOMENTS = st.integers(int(MONDAY.timestamp()), int(MONDAY.timestamp()) + 3650 * 86400).map(
    lambda second: datetime.fromtimestamp(second, UTC)
)


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    after=MOMENTS,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_daily_time_is_found(minute: int, hour: int, after: datetime, zone: str) -> None:
    """The next due time lies after the moment, shows the right clock and is not far."""
    # When
    found = parse_cron(f"{minute} {hour} * * ? *").next(after, ZoneInfo(zone))
    # Then
    assert found is not None
    local = found.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute) == (hour, minute)
    assert timedelta(0) < found - after <= timedelta(days=2, hours=1)


@given(
    day=st.one_of(
        st.sampled_from(["*", "L", "LW", "1W", "15W", "31W", "31", "1,15", "1/7", "28-31"]),
    ),
    month=st.sampled_from(["*", "2", "FEB-APR", "1/3", "12"]),
    after=MOMENTS,
)
def test_no_day_is_missed(day: str, month: str, after: datetime) -> None:
    """Walking day by day finds the same next day as the search does."""
    # Given
    cron = parse_cron(f"0 0 {day} {month} ? *")
    # When
    found = cron.next(after, ZoneInfo("UTC"))
    # Then
    walk: date = after.date()
    for _ in range(366 * 9):
        midnight = datetime(walk.year, walk.month, walk.day, tzinfo=UTC)
        if walk.month in cron.months and cron.is_day(walk) and midnight > after:
            assert found == midnight
            return
        walk += timedelta(days=1)
    assert found is None


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(1, 7), st.integers(1, 5))
def test_nth_weekday(day: date, weekday: int, nth: int) -> None:
    # Given
    rule = parse_cron(f"0 0 ? * {weekday}#{nth} *").is_day
    # When
    month = [day.replace(day=1) + timedelta(days=n) for n in range(31)]
    same = [item for item in month if item.month == day.month]
    of_weekday = [item for item in same if item.isoweekday() % 7 + 1 == weekday]
    # Then
    assert [item for item in same if rule(item)] == of_weekday[nth - 1 : nth]
