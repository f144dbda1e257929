"""Days of the week and durations, as the public API writes them."""

import re
from datetime import datetime, timedelta

_DURATION = re.compile(
    r"P(?:(\d{1,5})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,5})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?"
)
DAYS_PER_YEAR = 365
DAYS_PER_MONTH = 30


def weekday(now: datetime) -> int:
    """Return the day of the week, Sunday 0."""
    return now.isoweekday() % 7


def duration_of(text: object) -> timedelta | None:
    """Read an ISO 8601 duration; a year is 365 days and a month 30. None for anything else."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    years, months, weeks, days, hours, minutes, seconds = (
        int(part or 0) for part in match.groups()
    )
    return timedelta(
        days=years * DAYS_PER_YEAR + months * DAYS_PER_MONTH + weeks * 7 + days,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
    )
