"""The only clock. Everything else gets time as data."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, in UTC, cut to milliseconds as the API shows it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
