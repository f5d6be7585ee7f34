"""When a schedule is due: `rate(...)`, `cron(...)` and `at(...)` of EventBridge.

Syntax: "Schedule types" in the EventBridge Scheduler user guide. A cron expression has six fields
(minutes, hours, day of month, month, day of week, year); one of the two days is `?`; `L` is the
last, `W` the weekday nearest to a day, `#` the n-th weekday of a month; 1 is Sunday.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

EXPRESSION = re.compile(r"(rate|cron|at)\((.*)\)")
UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400}
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
YEARS = (1970, 2199)
RATE_PARTS = 2
CRON_FIELDS = 6
WEEK = 7
SATURDAY, SUNDAY = 7, 1


class InvalidScheduleError(ValueError):
    """The expression is none of EventBridge's; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed cron expression. A day matches by one of two rules, the other being `?`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    is_day: Callable[[date], bool]

    def next(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first due time after a moment, None when there is none any more.

        Local times that a change of the clocks skips are not due; those it repeats are due once.
        """
        start = after.astimezone(zone)
        day = start.date()
        while day.year <= YEARS[1]:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
                continue
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self.is_day(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                        moment = local.astimezone(UTC)
                        exists = moment.astimezone(zone).replace(tzinfo=None) == local.replace(
                            tzinfo=None
                        )
                        if exists and moment > after:
                            return moment
            day += timedelta(days=1)
        return None


class Timetable:
    """The due times of one expression. `started` anchors a rate."""

    def __init__(self, expression: str, timezone: str, started: datetime) -> None:
        found = EXPRESSION.fullmatch(expression.strip())
        if found is None:
            raise InvalidScheduleError(f"{expression!r} is no rate(...), cron(...) or at(...)")
        kind, inside = found.groups()
        self._zone = ZoneInfo(timezone or "UTC")
        self._started = started
        self._cron = parse_cron(inside) if kind == "cron" else None
        self._seconds = parse_rate(inside) if kind == "rate" else 0
        self._at: datetime | None = None
        if kind == "at":
            try:
                self._at = datetime.fromisoformat(inside).replace(tzinfo=self._zone)
            except ValueError as error:
                raise InvalidScheduleError(f"{inside!r} is no yyyy-mm-ddThh:mm:ss") from error

    def next(self, after: datetime) -> datetime | None:
        """Return the first due time after a moment, None when the schedule is over."""
        if self._cron is not None:
            return self._cron.next(after, self._zone)
        if self._at is not None:
            moment = self._at.astimezone(UTC)
            return moment if moment > after else None
        passed = max((after - self._started).total_seconds(), 0)
        return self._started + timedelta(seconds=(passed // self._seconds + 1) * self._seconds)


def parse_rate(text: str) -> int:
    """Return the seconds of `5 minutes`. Raises `InvalidScheduleError`."""
    parts = text.split()
    if len(parts) != RATE_PARTS or not parts[0].isdecimal() or parts[1] not in UNITS:
        raise InvalidScheduleError(f"rate({text}): write a number and minutes, hours or days")
    value = int(parts[0])
    if value == 0 or (value == 1) == parts[1].endswith("s"):
        raise InvalidScheduleError(f"rate({text}): 1 minute, but 2 minutes")
    return value * UNITS[parts[1]]


def parse_cron(text: str) -> Cron:
    """Parse the six fields. Raises `InvalidScheduleError`."""
    fields = text.upper().split()
    if len(fields) != CRON_FIELDS:
        raise InvalidScheduleError(f"cron({text}): there must be six fields")
    minutes, hours, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise InvalidScheduleError(f"cron({text}): exactly one of the two days must be ?")
    rule = _month_day(day) if weekday == "?" else _week_day(weekday)
    return Cron(
        minutes=_numbers(minutes, 0, 59),
        hours=_numbers(hours, 0, 23),
        months=_numbers(month, 1, 12, MONTHS),
        years=_numbers(year, *YEARS),
        is_day=rule,
    )


def _numbers(
    field: str, least: int, most: int, names: dict[str, int] | None = None
) -> frozenset[int]:
    """Return the numbers of a field with lists, ranges, steps and names."""
    known = names or {}

    def number(text: str) -> int:
        value = known.get(text) or (int(text) if text.isdecimal() else -1)
        if not least <= value <= most:
            raise InvalidScheduleError(f"{text!r} of {field!r} is not between {least} and {most}")
        return value

    numbers: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = least if first == "*" else number(first)
        open_end = most if first == "*" or step else begin
        end = number(last) if last else open_end
        if step and (not step.isdecimal() or int(step) == 0):
            raise InvalidScheduleError(f"{item!r} has no valid step")
        if begin > end:  # FRI-MON goes round
            numbers.update(range(begin, most + 1, int(step or 1)))
            begin = least
        numbers.update(range(begin, end + 1, int(step or 1)))
    return frozenset(numbers)


def _month_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _last_day(day)
    if field in ("LW", "WL"):
        return lambda day: day.day == _nearest_weekday(day, _last_day(day))
    if field.endswith("W"):
        (wanted,) = _numbers(field[:-1], 1, 31)
        return lambda day: day.day == _nearest_weekday(day, wanted)
    days = _numbers(field, 1, 31)
    return lambda day: day.day in days


def _week_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: _weekday(day) == SATURDAY
    if field.endswith("L"):
        (wanted,) = _numbers(field[:-1], 1, 7, WEEKDAYS)
        return lambda day: _weekday(day) == wanted and day.day + WEEK > _last_day(day)
    if "#" in field:
        name, _, which = field.partition("#")
        (wanted,) = _numbers(name, 1, 7, WEEKDAYS)
        (nth,) = _numbers(which, 1, 5)
        return lambda day: _weekday(day) == wanted and (day.day - 1) // WEEK + 1 == nth
    days = _numbers(field, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in days


def _weekday(day: date) -> int:
    return day.isoweekday() % WEEK + 1


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> int:
    """Return the weekday (Monday to Friday) of the month that is nearest to a day of it."""
    last = _last_day(day)
    if wanted > last:
        return 0
    weekday = _weekday(day.replace(day=wanted))
    if weekday == SATURDAY:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == SUNDAY:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted
