"""Whether a code may be used at this moment: active, started, not expired, inside its hours.

Behaviour: "Validity checks". Calendar days and hours are those of the project's time zone.
"""

from datetime import datetime

from contracts.errors import JsonObject
from engine.domain.clock import duration_of, weekday
from engine.domain.definition import Code, Definition
from engine.domain.refusals import Refusal


def check(code: Code, now: datetime) -> Refusal | None:
    """Return why the code may not be used now, or None. ``now`` is in the project's time zone."""
    key = problem(code, now)
    if key is None:
        return None
    if code.is_tier:
        return _tier_refusal(key, code)
    return Refusal(key, code.code, resource_id=code.id, resource_type="voucher")


def _tier_refusal(key: str, code: Code) -> Refusal:
    """Tiers know two reasons only: switched off, or not at this time."""
    is_off = key == "voucher_disabled"
    key = "promotion_inactive" if is_off else "promotion_not_active_now"
    state = "disabled" if is_off else "not active now"
    details = f"Promotion Tier with id: {code.id} is {state}."
    return Refusal(key, details, resource_id=code.id, resource_type="promotion_tier")


def problem(code: Code, now: datetime) -> str | None:
    """Return the key of the first thing that is in the way."""
    definition = code.definition
    if not code.is_active or not definition.is_campaign_active:
        return "voucher_disabled"
    for start, end in definition.windows:
        if start is not None and now < start:
            return "voucher_not_active"
        if end is not None and now > end:
            return "voucher_expired"
    return None if is_open(definition, now) else "voucher_not_active_now"


def is_open(definition: Definition, now: datetime) -> bool:
    """Say whether timeframe, weekday and hours allow this moment."""
    if definition.days_of_week and weekday(now) not in definition.days_of_week:
        return False
    if definition.hours and not _in_hours(definition.hours, now):
        return False
    timeframe, start = definition.timeframe, definition.timeframe_start
    if not timeframe or start is None:
        return True
    return _in_timeframe(timeframe, start, now)


def _in_hours(hours: JsonObject, now: datetime) -> bool:
    daily = hours.get("daily")
    if not isinstance(daily, list) or not daily:
        return True
    minute = now.hour * 60 + now.minute
    for window in daily:
        days = window.get("days_of_week")
        if days and weekday(now) not in days:
            continue
        if (
            _minute(window.get("start_time"), 0)
            <= minute
            < _minute(window.get("expiration_time"), 24 * 60)
        ):
            return True
    return False


def _minute(text: object, default: int) -> int:
    """Return the minute of the day of "HH:mm"."""
    if not isinstance(text, str) or not text:
        return default
    hours, _, minutes = text.partition(":")
    try:
        return int(hours) * 60 + int(minutes[:2] or 0)
    except ValueError:
        return default


def _in_timeframe(timeframe: JsonObject, start: datetime, now: datetime) -> bool:
    """Windows begin at ``start + k · interval`` and last ``duration``; unreadable ones never open."""
    interval = duration_of(timeframe.get("interval"))
    duration = duration_of(timeframe.get("duration"))
    if not interval or not duration:
        return False
    return (now - start) % interval < duration
