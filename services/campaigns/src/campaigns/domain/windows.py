"""Values of the operators that ask when; the engine reads them again when it compiles a rule."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from campaigns.domain.errors import broken_rule
from campaigns.domain.periods import parse_duration

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_DAYS = re.compile(r"[0-6](,[0-6]){0,6}")
WEEKDAY_MAX = 6
LENGTH_MAX = 200


def _parts(path: str, value: Any, least: int, most: int, example: str) -> list[str]:
    parts = value.split(";") if isinstance(value, str) and len(value) <= LENGTH_MAX else []
    if not least <= len(parts) <= most:
        raise broken_rule(path, f"must be a text such as {example}")
    return parts


def _instant(path: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise broken_rule(
            path, f"must have instants such as 2026-01-31T12:00:00Z, not {text!r}"
        ) from None


def timeframe(path: str, value: Any) -> str:
    """Read ``start;interval;duration``."""
    example = "2026-01-31T00:00:00Z;P1D;PT1H"
    start, *durations = _parts(path, value, 3, 3, example)
    _instant(path, start)
    for text in durations:
        parsed = parse_duration(text)
        if parsed is None or parsed.days <= 0:
            raise broken_rule(path, f"must have durations such as P1D, not {text!r}")
    return str(value)


def absolute(path: str, value: Any) -> str:
    """Read ``from;to``."""
    start, end = _parts(path, value, 2, 2, "2026-01-31T00:00:00Z;2026-02-28T00:00:00Z")
    first, last = _instant(path, start), _instant(path, end)
    if (first.tzinfo is None) != (last.tzinfo is None):
        raise broken_rule(path, "must name a time zone for both instants, or for neither")
    if last <= first:
        raise broken_rule(path, "must end after it begins")
    return str(value)


def daily_hours(path: str, value: Any) -> str:
    """Read ``18:00;20:01;2,3``: from, to, and days of the week."""
    start, end, *days = _parts(path, value, 2, 3, "18:00;20:01;2,3")
    for text in (start, end):
        if _CLOCK.fullmatch(text) is None:
            raise broken_rule(path, f"must have times of day such as 18:00, not {text!r}")
    if days and days[0] and _DAYS.fullmatch(days[0]) is None:
        raise broken_rule(path, f"must have days from 0 (Sunday) to 6, not {days[0]!r}")
    return str(value)


def day_of_week(path: str, value: Any) -> int:
    """Read a day of the week: Sunday is 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= WEEKDAY_MAX:
        raise broken_rule(path, "must be a day of the week from 0 (Sunday) to 6")
    return value


WINDOWS: Mapping[str, Callable[[str, Any], Any]] = {
    "$timeframe": timeframe,
    "$timeframe_absolute": absolute,
    "$timeframe_daily_hours": daily_hours,
    "$dow": day_of_week,
}
