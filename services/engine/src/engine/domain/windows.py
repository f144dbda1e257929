"""Operators that ask when: recurring timeframes, hours of the day, days of the week.

They look at the moment of the request in the project's time zone, whatever value their rule is about.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from engine.domain.clock import duration_of, weekday

Window = Callable[[datetime], bool]

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
WEEKDAY_MAX = 6


def compile_window(name: str, values: list[Any]) -> Window | None:
    """Return the test of the moment; any value suffices. None for values that are malformed."""
    found = [WINDOWS[name](value) for value in values]
    windows = [window for window in found if window is not None]
    if not windows or len(windows) < len(found):
        return None
    return lambda now: any(window(now) for window in windows)


def _timeframe(value: Any) -> Window | None:
    """``start;interval;duration``: a window of ``duration`` begins every ``interval`` after the start."""
    parts = str(value).split(";")
    if len(parts) != 3:  # noqa: PLR2004 - start, interval, duration
        return None
    start, interval, duration = _instant(parts[0]), duration_of(parts[1]), duration_of(parts[2])
    if start is None or not interval or not duration:
        return None

    def is_open(now: datetime) -> bool:
        begun = _on_the_clock(start, now)
        return now >= begun and (now - begun) % interval < duration

    return is_open


def _absolute(value: Any) -> Window | None:
    """``from;to``: the end does not belong to it."""
    start, _, end = str(value).partition(";")
    first, last = _instant(start), _instant(end)
    if first is None or last is None:
        return None
    return lambda now: _on_the_clock(first, now) <= now < _on_the_clock(last, now)


def _daily_hours(value: Any) -> Window | None:
    """``18:00;20:01;2,3``: on these days (Sunday 0; all if none is named) between these times."""
    parts = [*str(value).split(";"), "", ""][:3]
    start, end = _clock(parts[0]), _clock(parts[1])
    days = _days(parts[2])
    if start is None or end is None or days is None:
        return None

    def is_open(now: datetime) -> bool:
        moment = now.time()
        if start <= end:
            return start <= moment < end and weekday(now) in days
        # Over midnight: the hours after it belong to the day before.
        if moment >= start:
            return weekday(now) in days
        return moment < end and (weekday(now) - 1) % 7 in days

    return is_open


def _day_of_week(value: Any) -> Window | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= WEEKDAY_MAX:
        return None
    return lambda now: weekday(now) == value


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _on_the_clock(moment: datetime, now: datetime) -> datetime:
    """Return the instant; one without a zone is meant in the project's."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    return moment.replace(tzinfo=now.tzinfo).astimezone(UTC)


def _clock(text: str) -> time | None:
    match = _HOURS.fullmatch(text)
    return time(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _days(text: str) -> frozenset[int] | None:
    if not text:
        return frozenset(range(7))
    days = [int(day) for day in text.split(",") if day.isdecimal()]
    is_right = len(days) == len(text.split(",")) and all(day <= WEEKDAY_MAX for day in days)
    return frozenset(days) if is_right else None


WINDOWS: dict[str, Callable[[Any], Window | None]] = {
    "$timeframe": _timeframe,
    "$timeframe_absolute": _absolute,
    "$timeframe_daily_hours": _daily_hours,
    "$dow": _day_of_week,
}
