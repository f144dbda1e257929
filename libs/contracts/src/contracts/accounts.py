"""The names and units of the ledger's accounts, in one place: plans, cards and read models all use them.

An account that counts per day, week or month has the period in its name, so nothing ever resets it: the
next period is another account. The whole table stands in docs/architecture.md.
"""

from datetime import datetime, timedelta
from typing import Literal

Unit = Literal["use", "quantity", "credit", "point", "discount", "order_amount", "session", "fact"]
Period = Literal["daily", "weekly", "monthly"]
DAYS_OF_A_WEEK = 7


def account(kind: str, *names: str, period: str = "") -> str:
    """Return the name ``<kind>/<id>[/<id>…][/<period>]``."""
    return "/".join((kind, *names, *((period,) if period else ())))


def period_of(period: Period, local: datetime, first_day_of_week: int = 0) -> str:
    """Return the name of the calendar period: ``2026-11-27``, ``week-2026-11-23``, ``2026-11``.

    ``local`` is in the project's time zone; ``first_day_of_week`` counts from Monday, which is 0.
    """
    assert local.tzinfo is not None, "a calendar period belongs to a time zone"
    if period == "daily":
        return local.date().isoformat()
    if period == "monthly":
        return f"{local:%Y-%m}"
    days = (local.weekday() - first_day_of_week) % DAYS_OF_A_WEEK
    return f"week-{(local.date() - timedelta(days=days)).isoformat()}"
