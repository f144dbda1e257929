"""The operators of lists' filters as conditions in SQL (behaviours.md, appendix A).

Several values of one operator: any of them suffices; the negations are the exact contrary. Days are
those of the project's time zone; a day in metadata is the one that is written there. Not for segments:
their filters are judged in memory (``contracts.filters``), with the same meaning.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from contracts.errors import InvalidQueryParams
from contracts.filters import SPANS
from contracts.limits import FILTER_DAYS_MAX
from gateway import limits
from gateway.query import Column, read_flag, read_instant, whole

Bind = Callable[[Any], str]
"""Returns the placeholder of a value."""
Days = tuple[date, date]
"""The first day and the last."""


class Today(NamedTuple):
    """The moment of the request, and the project's time zone."""

    now: datetime
    zone: str

    @property
    def day(self) -> date:
        """The calendar day."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    def start(self, day: date) -> datetime:
        """Return the instant at which a day begins."""
        moment = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone))
        return moment.astimezone(UTC)


def condition(
    column: Column, name: str, operator: str, values: Sequence[str], today: Today, bind: Bind
) -> str:
    """Return the SQL of ``<column> <operator> <values>``; raises ``InvalidQueryParams``."""
    if column.kind == "flag":
        column, values = column._replace(kind="text", sql=f"({column.sql})::text"), _lower(values)
    if operator in column.states:
        state = column.states[operator]
        now = f"{bind(today.now)}::timestamptz" if "{}" in state else ""
        return f"({state.replace('{}', now)})"
    if operator not in OPERATORS:
        raise InvalidQueryParams(f"{name}: the operator {operator} is not supported")
    positive = NEGATED.get(operator, operator)
    reader = READERS.get(column.kind, {}).get(positive)
    if reader is None:
        raise InvalidQueryParams(f"{name}: the operator {operator} does not fit the field")
    piece = reader(_Asked(column, name, positive, values, today, bind))
    return f"({piece}) IS NOT TRUE" if operator in NEGATED else f"({piece})"


def _lower(values: Sequence[str]) -> list[str]:
    return [value.lower() for value in values]


class _Asked(NamedTuple):
    """One operator of one field, as it was sent."""

    column: Column
    name: str
    operator: str
    values: Sequence[str]
    today: Today
    bind: Bind

    def day_counts(self) -> list[int]:
        return [whole(self.name, value, 0, FILTER_DAYS_MAX) for value in self.values]


# -- equality and text ----------------------------------------------------------------------------


def _same(asked: _Asked) -> str:
    kind = asked.column.kind
    read = [_value(asked.name, value, kind) for value in asked.values]
    return f"{asked.column.sql} = ANY({asked.bind(read)}::{kind}[])"


def _value(name: str, value: str, kind: str) -> Any:
    if kind == "timestamptz":
        return read_instant(name, value)
    if kind == "bigint":
        return _whole(name, value)
    return read_flag(name, value) if kind == "boolean" else value


def _whole(name: str, value: str) -> int:
    return -whole(name, value[1:], 0, 2**53) if value[:1] == "-" else whole(name, value, 0, 2**53)


def _like(asked: _Asked) -> str:
    return f"{asked.column.sql} LIKE ANY({asked.bind(_patterns(asked))}::text[])"


def _patterns(asked: _Asked) -> list[str]:
    before = "" if asked.operator == "$starts_with" else "%"
    after = "" if asked.operator == "$ends_with" else "%"
    return [f"{before}{_escaped(value)}{after}" for value in asked.values]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


ELEMENTS = (
    "EXISTS (SELECT 1 FROM jsonb_array_elements_text(CASE jsonb_typeof(COLUMN) WHEN 'array'"
    " THEN COLUMN ELSE jsonb_build_array(COLUMN) END) AS e(v) WHERE TEST)"
)
"""An element of a list, or the single value, passes the test."""


def _json_same(asked: _Asked) -> str:
    test = f"e.v = ANY({asked.bind(list(asked.values))}::text[])"
    return ELEMENTS.replace("TEST", test).replace("COLUMN", asked.column.sql)


def _json_like(asked: _Asked) -> str:
    test = f"e.v LIKE ANY({asked.bind(_patterns(asked))}::text[])"
    return ELEMENTS.replace("TEST", test).replace("COLUMN", asked.column.sql)


def _present(asked: _Asked) -> str:
    return f"{asked.column.sql} IS NOT NULL"


def _text_present(asked: _Asked) -> str:
    return f"{asked.column.sql} <> ''"


def _json_present(asked: _Asked) -> str:
    nothing = asked.bind(["null", '""', "[]", "{}"])
    return f"({asked.column.sql})::text <> ALL({nothing}::text[])"


# -- numbers --------------------------------------------------------------------------------------

SIGNS = {
    "$more_than": ">",
    "$less_than": "<",
    "$more_than_equal": ">=",
    "$less_than_equal": "<=",
    "$after": ">",
    "$before": "<",
    "$count": "=",
    "$count_more": ">",
    "$count_less": "<",
}


def _compared(asked: _Asked) -> str:
    read = [_whole(asked.name, value) for value in asked.values]
    sign = SIGNS[asked.operator]
    return f"{asked.column.sql} {sign} ANY({asked.bind(read)}::bigint[])"


def _json_compared(asked: _Asked) -> str:
    read = [_decimal(asked.name, value) for value in asked.values]
    return f"{_number(asked.column)} {SIGNS[asked.operator]} ANY({asked.bind(read)}::numeric[])"


def _number(column: Column) -> str:
    return f"(CASE WHEN jsonb_typeof({column.sql}) = 'number' THEN ({column.text})::numeric END)"


def _decimal(name: str, value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > limits.DIGITS_MAX:
        raise InvalidQueryParams(f"{name}: must be a number")
    return number


def _json_count(asked: _Asked) -> str:
    read = asked.bind([whole(asked.name, value, 0, 2**31) for value in asked.values])
    size = (
        f"CASE jsonb_typeof({asked.column.sql}) WHEN 'array' THEN jsonb_array_length({asked.column.sql})"
        f" WHEN 'number' THEN trunc({_number(asked.column)}) ELSE 0 END"
    )
    return f"{size} {SIGNS[asked.operator]} ANY({read}::numeric[])"


# -- instants and days ----------------------------------------------------------------------------


def _instants(asked: _Asked) -> str:
    """Compare instants; a whole number is a count of days ago, as the published filters have it."""
    if asked.operator in ORDERED and all(value.isdigit() for value in asked.values):
        ago = "$more_than_ago" if SIGNS[asked.operator][0] == ">" else "$less_than_ago"
        return _spans(asked._replace(operator=ago))
    read = [read_instant(asked.name, value) for value in asked.values]
    return f"{asked.column.sql} {SIGNS[asked.operator]} ANY({asked.bind(read)}::timestamptz[])"


def _json_instants(asked: _Asked) -> str:
    # Texts compare as the instants do that they write, because all are written in UTC.
    read = [read_instant(asked.name, value).strftime("%Y-%m-%dT%H:%M:%S") for value in asked.values]
    text = asked.column.text
    later = f"{text} {SIGNS[asked.operator]} ANY({asked.bind(read)}::text[])"
    return rf"{text} ~ '^\d\d\d\d-\d\d-\d\d' AND {later}"


def _spans(asked: _Asked) -> str:
    """Return the condition that the day lies in one of the operator's spans."""
    try:
        return " OR ".join(_in_span(asked, *span) for span in _spans_of(asked))
    except (OverflowError, ValueError):
        raise InvalidQueryParams(f"{asked.name}: lies outside the calendar") from None


def _in_span(asked: _Asked, first: date | None, last: date | None) -> str:
    """Return the condition for one span, whose ends may be open."""
    column, today, bind = asked.column, asked.today, asked.bind
    sides = []
    for sign, day in ((">=", first), ("<", last + timedelta(days=1) if last else None)):
        if day is None:
            continue
        if column.kind == "json":
            sides.append(f"{_written_day(column)} {sign} {bind(day)}::date")
        else:
            sides.append(f"{column.sql} {sign} {bind(today.start(day))}::timestamptz")
    return f"({' AND '.join(sides)})"


def _spans_of(asked: _Asked) -> list[tuple[date | None, date | None]]:
    today = asked.today.day
    fixed = FIXED_SPANS.get(asked.operator.removeprefix("$"))
    if fixed is not None:
        return [fixed(today)]
    span = COUNTED_SPANS[asked.operator]
    return [span(today, count) for count in asked.day_counts()]


def _year(offset: int) -> Callable[[date], Days]:
    return lambda today: (
        date(today.year + offset, 1, 1),
        date(today.year + offset, 12, 31),
    )


def _shifted(today: date, days: int) -> date:
    return today + timedelta(days=days)


FIXED_SPANS: dict[str, Callable[[date], Days]] = {
    **SPANS,
    "this_year": _year(0),
    "last_year": _year(-1),
    "next_year": _year(1),
}
COUNTED_SPANS: dict[str, Callable[[date, int], tuple[date | None, date | None]]] = {
    "$more_than_ago": lambda today, days: (None, _shifted(today, -days - 1)),
    "$less_than_ago": lambda today, days: (_shifted(today, 1 - days), today),
    "$is_days_ago": lambda today, days: (_shifted(today, -days), _shifted(today, -days)),
    "$more_than_future": lambda today, days: (_shifted(today, days + 1), None),
    "$less_than_future": lambda today, days: (today, _shifted(today, days - 1)),
    "$is_days_in_future": lambda today, days: (_shifted(today, days), _shifted(today, days)),
    "$is_years_ago": lambda today, years: _year(-years)(today),
}


def _written_day(column: Column) -> str:
    """Return the day that a text of metadata begins with; NULL where it is none, never an error."""
    text = column.text
    return (
        rf"(CASE WHEN {text} ~ '^(?!0000)\d\d\d\d-(0[1-9]|1[0-2])-\d\d' THEN"
        f" make_date(substr({text}, 1, 4)::int, substr({text}, 6, 2)::int, 1)"
        f" + (substr({text}, 9, 2)::int - 1) END)"
    )


def _local_day(asked: _Asked) -> str:
    if asked.column.kind == "json":
        return _written_day(asked.column)
    return f"({asked.column.sql} AT TIME ZONE {asked.bind(asked.today.zone)}::text)::date"


def _part(asked: _Asked) -> str:
    read = [whole(asked.name, value, 0, 9999) for value in asked.values]
    part = PARTS[asked.operator]
    return f"EXTRACT({part} FROM {_local_day(asked)}) = ANY({asked.bind(read)}::int[])"


PARTS = {"$is_day_of_month": "day", "$is_day": "dow", "$is_month": "month", "$is_year": "year"}


def _anniversary(asked: _Asked) -> str:
    """Return the condition that month and day lie in the span, whatever the year."""
    today = asked.today.day
    name = asked.operator.removeprefix("$").removesuffix("_md")
    if name in SPANS:
        spans = [SPANS[name](today)]
    else:
        spans = [ANNIVERSARIES[name](today, min(count, 366)) for count in asked.day_counts()]
    days = sorted({day for span in spans for day in _month_days(*span)})
    return f"to_char({_local_day(asked)}, 'MM-DD') = ANY({asked.bind(days)}::text[])"


def _month_days(first: date, last: date) -> set[str]:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    found = {day.strftime("%m-%d") for day in days}
    # Who was born on 29 February has the day on 1 March in the years between.
    if any((day - timedelta(days=1)).strftime("%m-%d") == "02-28" for day in days):
        found.add("02-29")
    return found


ANNIVERSARIES: dict[str, Callable[[date, int], Days]] = {
    "is_days_ago": lambda today, days: (_shifted(today, -days), _shifted(today, -days)),
    "is_more_days_ago": lambda today, days: (date(today.year, 1, 1), _shifted(today, -days - 1)),
    "is_less_days_ago": lambda today, days: (_shifted(today, 1 - days), today),
    "is_days_in_future": lambda today, days: (_shifted(today, days), _shifted(today, days)),
    "is_more_days_in_future": lambda today, days: (
        _shifted(today, days + 1),
        date(today.year, 12, 31),
    ),
    "is_less_days_in_future": lambda today, days: (today, _shifted(today, days - 1)),
}
"""Spans around today; those without an end reach to that of the year."""

# -- which operators there are --------------------------------------------------------------------

Reader = Callable[[_Asked], str]
ANYWHERE: dict[str, Reader] = {"$is": _same, "$in": _same, "$has_value": _present}
PATTERNS = ("$contains", "$starts_with", "$ends_with")
ORDERED = ("$more_than", "$less_than", "$more_than_equal", "$less_than_equal")
COUNTS = ("$count", "$count_more", "$count_less")
DAYS: dict[str, Reader] = {
    **{f"${name}": _spans for name in FIXED_SPANS},
    **dict.fromkeys(COUNTED_SPANS, _spans),
    **dict.fromkeys(PARTS, _part),
    **{f"${name}_md": _anniversary for name in (*SPANS, *ANNIVERSARIES)},
}
READERS: dict[str, dict[str, Reader]] = {
    "text": {**ANYWHERE, "$has_value": _text_present, **dict.fromkeys(PATTERNS, _like)},
    "boolean": ANYWHERE,
    "bigint": {**ANYWHERE, **dict.fromkeys((*ORDERED, *COUNTS), _compared)},
    "timestamptz": {
        **ANYWHERE,
        **dict.fromkeys((*ORDERED, "$after", "$before"), _instants),
        **DAYS,
    },
    "json": {
        "$is": _json_same,
        "$in": _json_same,
        "$has_value": _json_present,
        **dict.fromkeys(PATTERNS, _json_like),
        **dict.fromkeys(ORDERED, _json_compared),
        **dict.fromkeys(("$after", "$before"), _json_instants),
        **dict.fromkeys(COUNTS, _json_count),
        **DAYS,
    },
}
"""Which operators fit which kind of field."""
NEGATED = {
    "$is_not": "$is",
    "$not_in": "$in",
    "$not_contain": "$contains",
    "$is_unknown": "$has_value",
}
STATES = (
    "$active",
    "$failed",
    "$in_progress",
    "$expired",
    "$before_start",
    "$enabled",
    "$disabled",
    "$redeemed",
    "$redeemable",
)
"""Words of single fields: see ``Column.states``."""
OPERATORS = {*NEGATED, *STATES, *(name for readers in READERS.values() for name in readers)}
"""All that are known. Tessera has no locations, so ``$in_location`` and ``$not_in_location`` are not."""


def operators_of(column: Column) -> list[str]:
    """Return the operators that fit a field, for the documentation."""
    known = READERS.get("text" if column.kind == "flag" else column.kind, {})
    negations = [name for name, positive in NEGATED.items() if positive in known]
    return [*known, *negations, *column.states]
