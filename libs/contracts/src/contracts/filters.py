"""Filters of segments and product collections: who matches, decided in one place for all services.

A filter is ``{"junction": "and" | "or", "<field>": {"conditions": {"$operator": [values]}}}``; operators of
one field must all hold. Fields are a customer's attributes and ``metadata.<key>``. Pure: ``now`` is
passed in, in the time zone whose calendar days count. Not for the filters of lists: those become SQL.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from contracts import limits
from contracts.errors import JsonObject
from contracts.payload import instant, join, json_object, refuse

ATTRIBUTES = frozenset(
    {
        "id",
        "source_id",
        "name",
        "email",
        "phone",
        "description",
        "birthdate",
        "birthday",
        "created_at",
        "updated_at",
        "address.city",
        "address.state",
        "address.country",
        "address.postal_code",
        "address.line_1",
        "address.line_2",
    }
)
"""What of a customer may be filtered besides metadata."""

PRODUCT_ATTRIBUTES = frozenset(
    {
        "id",
        "source_id",
        "product_id",
        "name",
        "sku",
        "price",
        "currency",
        "attributes",
        "image_url",
        "created_at",
        "updated_at",
    }
)
"""What of a product or SKU may be filtered besides metadata."""

OFFER_ATTRIBUTES = frozenset(
    {
        "category_id",
        "campaign_id",
        "campaign_type",
        "resource_id",
        "resource_type",
        "voucher_type",
        "code",
        "holder_role",
    }
)
"""What of a redeemable a qualification may be filtered by."""

Values = list[Any]
Operator = Callable[[Any, Values, datetime], bool]


def matches(segment_filter: JsonObject, customer: JsonObject, now: datetime) -> bool:
    """Say whether the customer is in. A filter without conditions matches nobody."""
    junction = str(segment_filter.get("junction", "and")).lower()
    verdicts = (
        _field_matches(_value_of(customer, field), condition.get("conditions", {}), now)
        for field, condition in segment_filter.items()
        if field != "junction" and isinstance(condition, dict)
    )
    if junction == "or":
        return any(verdicts)
    decided = list(verdicts)
    return bool(decided) and all(decided)


def check_filter(
    segment_filter: Any, path: str = "filter", attributes: AbstractSet[str] = ATTRIBUTES
) -> None:
    """Raise :class:`contracts.errors.InvalidPayload` for the first property that is wrong.

    ``attributes`` are those that may be filtered besides metadata.
    """
    body = json_object(path, segment_filter)
    junction = body.get("junction", "and")
    if not isinstance(junction, str) or junction.lower() not in {"and", "or"}:
        raise refuse(join(path, "junction"), "must be one of and, or")
    fields = [field for field in body if field != "junction"]
    if not fields:
        raise refuse(path, "must have a condition")
    if len(fields) > limits.FILTER_FIELDS_MAX:
        raise refuse(path, f"must have at most {limits.FILTER_FIELDS_MAX} conditions")
    for field in fields:
        place = join(path, field)
        if not _is_field(field, attributes):
            raise refuse(place, "must be a known attribute or metadata.<key>")
        _check_conditions(join(place, "conditions"), json_object(place, body[field]))


def _is_field(field: str, attributes: AbstractSet[str]) -> bool:
    prefix, dot, key = field.partition(".")
    return field in attributes or (prefix in {"metadata", "system_metadata"} and bool(dot and key))


def _check_conditions(path: str, condition: JsonObject) -> None:
    conditions = json_object(path, condition.get("conditions"))
    if not 1 <= len(conditions) <= limits.FILTER_OPERATORS_MAX:
        raise refuse(path, f"must have 1 to {limits.FILTER_OPERATORS_MAX} operators")
    for name, sent in conditions.items():
        place = join(path, name)
        if name not in OPERATORS:
            raise refuse(place, "must be a supported operator")
        _check_values(place, name, sent)


def _check_values(path: str, name: str, sent: Any) -> None:
    if name in WITHOUT_VALUES:
        return
    values = _values(sent)
    if not 1 <= len(values) <= limits.FILTER_VALUES_MAX:
        raise refuse(path, f"must be a list of 1 to {limits.FILTER_VALUES_MAX} values")
    for index, value in enumerate(values):
        place = f"{path}[{index}]"
        if isinstance(value, (dict, list)):
            raise refuse(place, "must be a string, a number, true, false or null")
        if name in NUMERIC and _number(value) is None and _instant(value) is None:
            raise refuse(place, "must be a number or a date")
        if name in COUNTED and not _is_day_count(value):
            raise refuse(
                place, f"must be a whole number of days or elements up to {limits.FILTER_DAYS_MAX}"
            )
        if name in {"$after", "$before"}:
            instant(place, value)


def _is_day_count(value: Any) -> bool:
    number = _number(value)
    return (
        number is not None
        and number == number.to_integral_value()
        and 0 <= number <= limits.FILTER_DAYS_MAX
    )


def _value_of(customer: JsonObject, field: str) -> Any:
    """Return the value of a field; a metadata key may itself contain dots."""
    prefix, _, key = field.partition(".")
    inner = customer.get(prefix)
    if not key:
        return inner
    if not isinstance(inner, Mapping):
        return None
    if key in inner:
        return inner[key]
    for part in key.split("."):
        if not isinstance(inner, Mapping):
            return None
        inner = inner.get(part)
    return inner


def _field_matches(actual: Any, conditions: Any, now: datetime) -> bool:
    if not isinstance(conditions, dict):
        return False
    return all(
        name in OPERATORS and OPERATORS[name](actual, _values(sent), now)
        for name, sent in conditions.items()
    )


def _values(sent: Any) -> Values:
    """Return the values; a query string sends them as an object with numbered keys."""
    if isinstance(sent, list):
        return sent
    if isinstance(sent, dict):
        return list(sent.values())
    return [] if sent is None else [sent]


# -- values ---------------------------------------------------------------------------------------


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and value[:1].isalpha():
        # Most texts: an exception for each of them is what a long list of values would cost.
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str) or len(value) < len("2026-01-31") or value[:1].isalpha():
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day(value: Any, now: datetime) -> date | None:
    """Return the calendar day; one without a time of day is the same everywhere."""
    if isinstance(value, str) and len(value) == len("2026-01-31"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    moment = _instant(value)
    try:
        return moment.astimezone(now.tzinfo).date() if moment else None
    except OverflowError:
        return None


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return str(actual).lower() == str(wanted).lower()
    left, right = _number(actual), _number(wanted)
    if left is not None and right is not None:
        return left == right
    if actual is None or wanted is None:
        return actual is wanted
    moments = _instant(actual), _instant(wanted)
    if None not in moments:
        return moments[0] == moments[1]
    return str(actual) == str(wanted)


def _elements(actual: Any) -> list[Any]:
    return actual if isinstance(actual, list) else [actual]


# -- operators ------------------------------------------------------------------------------------


def _is(actual: Any, values: Values, now: datetime) -> bool:
    del now
    return any(_same(element, value) for element in _elements(actual) for value in values)


def _has_value(actual: Any, values: Values, now: datetime) -> bool:
    del values, now
    return actual not in (None, "", [], {})


def _text(test: Callable[[str, str], bool]) -> Operator:
    def operator(actual: Any, values: Values, now: datetime) -> bool:
        del now
        return any(
            test(str(element), str(value))
            for element in _elements(actual)
            if element is not None and not isinstance(element, dict)
            for value in values
        )

    return operator


def _contains(actual: Any, values: Values, now: datetime) -> bool:
    if isinstance(actual, list):
        return _is(actual, values, now)
    return _text(lambda text, part: part in text)(actual, values, now)


def _compare(test: Callable[[Any, Any], bool]) -> Operator:
    """Compare as numbers where both are, else as instants. Any value suffices."""

    def operator(actual: Any, values: Values, now: datetime) -> bool:
        del now
        for element in _elements(actual):
            number, moment = _number(element), _instant(element)
            for value in values:
                other = _number(value)
                if number is not None and other is not None:
                    if test(number, other):
                        return True
                    continue
                at = _instant(value)
                if moment is not None and at is not None and test(moment, at):
                    return True
        return False

    return operator


def _count(test: Callable[[int, int], bool]) -> Operator:
    def operator(actual: Any, values: Values, now: datetime) -> bool:
        del now
        number = _number(actual)
        if isinstance(actual, list):
            size = len(actual)
        elif number is not None:
            size = int(number)
        else:
            size = 0
        return any(
            test(size, int(wanted)) for value in values if (wanted := _number(value)) is not None
        )

    return operator


def _days_away(test: Callable[[int, int], bool]) -> Operator:
    """Compare the signed number of days from today (future positive) with each value."""

    def operator(actual: Any, values: Values, now: datetime) -> bool:
        day = _day(actual, now)
        if day is None:
            return False
        away = (day - now.date()).days
        return any(
            test(away, int(wanted)) for value in values if (wanted := _number(value)) is not None
        )

    return operator


def _in_span(span: Callable[[date], tuple[date, date]]) -> Operator:
    """The day lies in a span (first, last) that follows from today."""

    def operator(actual: Any, values: Values, now: datetime) -> bool:
        del values
        day = _day(actual, now)
        first, last = span(now.date())
        return day is not None and first <= day <= last

    return operator


def _anniversary_in_span(span: Callable[[date], tuple[date, date]]) -> Operator:
    """Month and day lie in the span, whatever the year: birthdays. 29 February counts as 1 March."""

    def operator(actual: Any, values: Values, now: datetime) -> bool:
        del values
        day = _day(actual, now)
        if day is None:
            return False
        first, last = span(now.date())
        return any(first <= _in_year(day, year) <= last for year in {first.year, last.year})

    return operator


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _part(part: Callable[[date], int]) -> Operator:
    def operator(actual: Any, values: Values, now: datetime) -> bool:
        day = _day(actual, now)
        return day is not None and any(_same(part(day), value) for value in values)

    return operator


def _days(first: int, last: int) -> Callable[[date], tuple[date, date]]:
    return lambda today: (today + timedelta(days=first), today + timedelta(days=last))


def _week(offset: int) -> Callable[[date], tuple[date, date]]:
    def span(today: date) -> tuple[date, date]:
        monday = today - timedelta(days=today.weekday()) + timedelta(weeks=offset)
        return monday, monday + timedelta(days=6)

    return span


def _month(offset: int) -> Callable[[date], tuple[date, date]]:
    def span(today: date) -> tuple[date, date]:
        index = today.year * 12 + today.month - 1 + offset
        first = date(index // 12, index % 12 + 1, 1)
        following = date((index + 1) // 12, (index + 1) % 12 + 1, 1)
        return first, following - timedelta(days=1)

    return span


def _year(offset: int) -> Callable[[date], tuple[date, date]]:
    return lambda today: (
        date(today.year + offset, 1, 1),
        date(today.year + offset, 12, 31),
    )


def _not(operator: Operator) -> Operator:
    return lambda actual, values, now: not operator(actual, values, now)


SPANS = {
    "today": _days(0, 0),
    "tomorrow": _days(1, 1),
    "yesterday": _days(-1, -1),
    "this_week": _week(0),
    "last_week": _week(-1),
    "next_week": _week(1),
    "this_month": _month(0),
    "last_month": _month(-1),
    "next_month": _month(1),
}

OPERATORS: dict[str, Operator] = {
    "$is": _is,
    "$in": _is,
    "$is_not": _not(_is),
    "$not_in": _not(_is),
    "$has_value": _has_value,
    "$is_unknown": _not(_has_value),
    "$contains": _contains,
    "$not_contain": _not(_contains),
    "$starts_with": _text(lambda text, part: text.startswith(part)),
    "$ends_with": _text(lambda text, part: text.endswith(part)),
    "$more_than": _compare(lambda left, right: left > right),
    "$less_than": _compare(lambda left, right: left < right),
    "$more_than_equal": _compare(lambda left, right: left >= right),
    "$less_than_equal": _compare(lambda left, right: left <= right),
    "$more_than_or_equal": _compare(lambda left, right: left >= right),
    "$less_than_or_equal": _compare(lambda left, right: left <= right),
    "$after": _compare(lambda left, right: left > right),
    "$before": _compare(lambda left, right: left < right),
    "$more_than_ago": _days_away(lambda away, days: away < -days),
    "$less_than_ago": _days_away(lambda away, days: -days < away <= 0),
    "$is_days_ago": _days_away(lambda away, days: away == -days),
    "$more_than_future": _days_away(lambda away, days: away > days),
    "$less_than_future": _days_away(lambda away, days: 0 <= away < days),
    "$is_days_in_future": _days_away(lambda away, days: away == days),
    "$count": _count(lambda size, wanted: size == wanted),
    "$count_more": _count(lambda size, wanted: size > wanted),
    "$count_less": _count(lambda size, wanted: size < wanted),
    "$is_day_of_month": _part(lambda day: day.day),
    "$is_day": _part(lambda day: day.isoweekday() % 7),
    "$is_month": _part(lambda day: day.month),
    "$is_year": _part(lambda day: day.year),
    "$this_year": _in_span(_year(0)),
    "$last_year": _in_span(_year(-1)),
    "$next_year": _in_span(_year(1)),
    **{f"${name}": _in_span(span) for name, span in SPANS.items()},
    **{f"${name}_md": _anniversary_in_span(span) for name, span in SPANS.items()},
}
"""By name; each gets the customer's value, the filter's values and ``now``."""

NUMERIC = frozenset(name for name in OPERATORS if name.startswith(("$more_than", "$less_than")))
COUNTED = frozenset(
    {"$count", "$count_more", "$count_less", "$is_days_ago", "$is_days_in_future"}
    | {f"${more}_than_{when}" for more in ("more", "less") for when in ("ago", "future")}
)
WITHOUT_VALUES = frozenset(
    {"$has_value", "$is_unknown", "$this_year", "$last_year", "$next_year"}
    | {f"${name}{suffix}" for name in SPANS for suffix in ("", "_md")}
)
