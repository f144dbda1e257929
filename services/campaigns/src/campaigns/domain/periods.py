"""When something is valid: dates, recurring windows, ISO 8601 durations. All instants are UTC."""

import re
from calendar import monthrange
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from campaigns import limits
from contracts.errors import JsonObject
from contracts.payload import Fields, instant, json_object, list_of, optional, read, refuse, text

_DURATION = re.compile(
    r"P(?!$)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
_DAY_MINUTES = 24 * 60


class Duration(NamedTuple):
    """An ISO 8601 duration: calendar months, and an exact rest."""

    months: int
    rest: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return the end; 31 January and one month is the last day of February."""
        total = moment.year * 12 + moment.month - 1 + self.months
        year, month = divmod(total, 12)
        day = min(moment.day, monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day) + self.rest

    @property
    def days(self) -> float:
        """About how long it is."""
        return self.months * 30.5 + self.rest.total_seconds() / 86_400


def parse_duration(value: str) -> Duration | None:
    """Return the duration, or None if the text is none."""
    match = _DURATION.fullmatch(value) if len(value) <= limits.DURATION_LENGTH_MAX else None
    if match is None:
        return None
    part = {name: int(number or 0) for name, number in match.groupdict().items()}
    if any(number > limits.DURATION_DAYS_MAX * 86_400 for number in part.values()):
        return None
    rest = timedelta(
        weeks=part["weeks"],
        days=part["days"],
        hours=part["hours"],
        minutes=part["minutes"],
        seconds=part["seconds"],
    )
    return Duration(part["years"] * 12 + part["months"], rest)


def duration(path: str, value: Any) -> str:
    """Read an ISO 8601 duration that is longer than nothing."""
    parsed = parse_duration(value) if isinstance(value, str) else None
    if parsed is None or not 0 < parsed.days <= limits.DURATION_DAYS_MAX:
        reason = f"must be an ISO 8601 duration of at most {limits.DURATION_DAYS_MAX} days"
        raise refuse(path, f"{reason}, such as P7D or PT1H")
    return str(value)


def weekday(path: str, value: Any) -> int:
    """Read a day of the week: Sunday is 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 6:  # noqa: PLR2004
        raise refuse(path, "must be a day of the week from 0 (Sunday) to 6")
    return value


def weekdays(path: str, value: Any) -> list[int]:
    """Read days of the week."""
    days: list[int] = list_of(weekday, 7)(path, value)
    if not days or len(set(days)) != len(days):
        raise refuse(path, "must name at least one day of the week, and none twice")
    return sorted(days)


def timeframe(path: str, value: Any) -> JsonObject:
    """Read ``{"interval", "duration"}``: a window of ``duration`` begins every ``interval``."""
    body = json_object(path, value)
    for name in ("interval", "duration"):
        if name not in body:
            raise refuse(f"{path}.{name}", "must be set")
    return read(body, {"interval": duration, "duration": duration}, path)


def hours(path: str, value: Any) -> JsonObject:
    """Read ``{"daily": [{"start_time", "expiration_time", "days_of_week"}]}`` without overlaps."""
    body = json_object(path, value)
    windows = list_of(_window, limits.VALIDITY_HOURS_MAX)(f"{path}.daily", body.get("daily"))
    _refuse_overlaps(f"{path}.daily", windows)
    return {"daily": windows}


def _window(path: str, value: Any) -> JsonObject:
    body = json_object(path, value)
    fields: Fields = {
        "start_time": optional(_CLOCK_TIME),
        "expiration_time": optional(_CLOCK_TIME),
        "days_of_week": optional(weekdays),
    }
    window = {name: kept for name, kept in read(body, fields, path).items() if kept is not None}
    if _minute(window.get("start_time", "00:00")) >= _end_minute(window):
        raise refuse(f"{path}.expiration_time", "must be after start_time")
    return window


_CLOCK_TIME = text(
    8, pattern=r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", meaning="a time of day such as 18:00"
)


def _minute(clock_time: str) -> int:
    return int(clock_time[:2]) * 60 + int(clock_time[3:5])


def _end_minute(window: JsonObject) -> int:
    end = window.get("expiration_time")
    return _minute(end) if end else _DAY_MINUTES


def _refuse_overlaps(path: str, windows: list[JsonObject]) -> None:
    for day in range(7):
        spans = sorted(
            (_minute(window.get("start_time", "00:00")), _end_minute(window))
            for window in windows
            if day in window.get("days_of_week", range(7))
        )
        for (_, end), (start, _) in pairwise(spans):
            if start < end:
                raise refuse(path, f"must not overlap (day {day})")


PERIOD_FIELDS: Fields = {
    "start_date": optional(instant),
    "expiration_date": optional(instant),
    "validity_timeframe": optional(timeframe),
    "validity_day_of_week": optional(weekdays),
    "validity_hours": optional(hours),
}
"""When a campaign or voucher is valid."""


def check_period(values: JsonObject, path: str = "") -> None:
    """Refuse combinations that contradict each other; ``values`` are complete."""
    prefix = f"{path}." if path else ""
    start, end = values.get("start_date"), values.get("expiration_date")
    if start is not None and end is not None and end <= start:
        raise refuse(f"{prefix}expiration_date", "must be after start_date")
    if values.get("validity_timeframe") is not None and start is None:
        raise refuse(
            f"{prefix}start_date", "must be set, because validity_timeframe counts from it"
        )
    others = ("validity_timeframe", "validity_day_of_week")
    if values.get("validity_hours") is not None:
        for name in others:
            if values.get(name) is not None:
                raise refuse(f"{prefix}validity_hours", f"must not be combined with {name}")
