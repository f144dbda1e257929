"""Query parameters of lists: page, order, ranges of dates, filters. Unknown ones are refused."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from contracts.errors import InvalidQueryParams
from gateway import limits
from gateway.http import Call, HttpError
from gateway.queries import Conditions

FILTER = re.compile(
    r"filters\[(?P<field>[\w.\- ]+)\]\[conditions\]\[(?P<operator>\$\w+)\](?:\[(?P<number>\d*)\])?"
)
DATE = re.compile(r"\[?(?P<field>created_at|updated_at)\]?\[(?P<side>before|after)\]")
IDS = re.compile(r"ids(?:\[\d*\])?")
SINCE = {"start_date": ">=", "end_date": "<"}
NEVER_NULL = {"created_at", "date", "id", "code"}
DIGITS_MAX = 18
"""Digits of a whole number that fits into 64 bits."""


class Column(NamedTuple):
    """A field that may be filtered by: its SQL, and the type of its values."""

    sql: str
    kind: str = "text"
    """``text``, ``bigint``, ``timestamptz``, ``boolean``, or ``json`` for a value of metadata."""
    text: str = ""
    """SQL of a ``json`` value as text."""


class Page(NamedTuple):
    """What to read of a list."""

    conditions: Conditions
    order: str
    limit: int
    offset: int
    given: dict[str, str]
    """Parameters of the operation's own, as sent."""

    @property
    def arguments(self) -> tuple[Conditions, str, int, int]:
        """The arguments of ``queries.page`` after the table."""
        return self.conditions, self.order, self.limit, self.offset


class _Reader:
    """Collects the parameters of one query."""

    def __init__(self, call: Call, parameters: Sequence[str], dates: Mapping[str, str]) -> None:
        self.conditions = Conditions(call.project_id)
        self.given: dict[str, str] = {}
        self.filters: dict[tuple[str, str], list[str]] = {}
        self.ids: list[str] = []
        self.limit = 10
        self.number = 1
        self.order: str | None = None
        self._parameters = parameters
        self._dates = dates

    def take(self, name: str, value: str) -> None:
        """Read one parameter; raises ``InvalidQueryParams`` that names it."""
        if "\x00" in value:
            raise InvalidQueryParams(f"{name}: must not contain the character NUL")
        if name == "limit":
            self.limit = whole(name, value, 1, limits.PAGE_SIZE_MAX)
        elif name == "page":
            self.number = _page_number(value)
        elif name == "order":
            self.order = value
        elif DATE.fullmatch(name):
            self._add_date(name, value)
        elif name.startswith("filters["):
            self._collect_filter(name, value)
        elif name in self._parameters:
            self._take_own(name, value)
        elif "ids" in self._parameters and IDS.fullmatch(name):
            self.ids.append(value)
        elif name != "expand":
            raise InvalidQueryParams(f"{name}: is not a parameter of this operation")

    def _take_own(self, name: str, value: str) -> None:
        if name == "ids":
            self.ids += [one for one in value.split(",") if one]
        elif name in SINCE:
            self.conditions.add(f"t.created_at {SINCE[name]} {{}}", read_instant(name, value))
        else:
            self.given[name] = value

    def _add_date(self, name: str, value: str) -> None:
        match = DATE.fullmatch(name)
        assert match is not None, "checked by the caller"
        column = self._dates.get(match["field"])
        if column is None:
            raise InvalidQueryParams(f"{name}: is not a parameter of this operation")
        operator = "<" if match["side"] == "before" else ">"
        self.conditions.add(f"t.{column} {operator} {{}}", read_instant(name, value))

    def _collect_filter(self, name: str, value: str) -> None:
        if name == "filters[junction]":
            if value.lower() not in {"and", "or"}:
                raise InvalidQueryParams("filters[junction]: must be and or or")
            self.conditions.junction = value.upper()
            return
        match = FILTER.fullmatch(name)
        if match is None:
            raise InvalidQueryParams(f"{name}: is not a filter")
        if match["operator"] not in OPERATORS:
            raise InvalidQueryParams(f"{name}: the operator {match['operator']} is not supported")
        self.filters.setdefault((match["field"], match["operator"]), []).append(value)
        if sum(map(len, self.filters.values())) > limits.FILTER_CONDITIONS_MAX:
            raise InvalidQueryParams(f"filters: at most {limits.FILTER_CONDITIONS_MAX} conditions")


def read_page(
    call: Call,
    *,
    orders: Iterable[str] | Mapping[str, str] = ("created_at",),
    default: str = "-created_at",
    columns: Mapping[str, Column] | None = None,
    parameters: Sequence[str] = (),
    dates: Sequence[str] | Mapping[str, str] = ("created_at",),
) -> Page:
    """Read the query; raises ``InvalidQueryParams`` that names what is wrong.

    ``orders`` and ``dates`` are fields of the API that the list is sorted and limited by; where the
    column has another name they are mappings to it.
    """
    reader = _Reader(call, parameters, _named(dates))
    for name, value in call.query:
        reader.take(name, value)
    for (field, operator), values in reader.filters.items():
        _add_filter(reader.conditions, field, operator, values, columns or {})
    if reader.ids:
        if len(reader.ids) > limits.PAGE_SIZE_MAX:
            raise InvalidQueryParams(f"ids: at most {limits.PAGE_SIZE_MAX}")
        reader.conditions.add("t.id = ANY({})", reader.ids)
    order = _order(default if reader.order is None else reader.order, _named(orders))
    offset = (reader.number - 1) * reader.limit
    return Page(reader.conditions, order, reader.limit, offset, reader.given)


def refuse_query(call: Call) -> None:
    """Refuse every parameter: for operations that have none."""
    for name, _ in call.query:
        raise InvalidQueryParams(f"{name}: is not a parameter of this operation")


def _named(fields: Iterable[str] | Mapping[str, str]) -> Mapping[str, str]:
    return fields if isinstance(fields, Mapping) else {name: name for name in fields}


def whole(name: str, value: str, least: int, most: int) -> int:
    """Read a whole number in a range; raises ``InvalidQueryParams``."""
    is_number = value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX
    if not is_number or not least <= int(value) <= most:
        raise InvalidQueryParams(f"{name}: must be a whole number from {least} to {most}")
    return int(value)


def _page_number(value: str) -> int:
    number = whole("page", value, 1, 10**9)
    if number > limits.PAGE_MAX:
        raise HttpError(
            400, "page_over_limit", "Page over limit", f"page: at most {limits.PAGE_MAX}"
        )
    return number


def _order(order: str, orders: Mapping[str, str]) -> str:
    name = order.removeprefix("-")
    column = orders.get(name)
    if column is None:
        allowed = ", ".join(one for field in orders for one in (field, f"-{field}"))
        raise InvalidQueryParams(f"order: must be one of {allowed}")
    direction = "DESC" if order.startswith("-") else "ASC"
    # Without NULLS LAST the index serves both directions.
    nulls = "" if column in NEVER_NULL else " NULLS LAST"
    return f"t.{column} {direction}{nulls}, t.id {direction}"


def read_instant(name: str, value: str) -> datetime:
    """Read an instant or a date."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidQueryParams(f"{name}: must be a date of ISO 8601") from None


def _add_filter(
    conditions: Conditions,
    field: str,
    operator: str,
    values: Sequence[str],
    columns: Mapping[str, Column],
) -> None:
    column = _column(field, columns, conditions)
    if operator not in KINDS[column.kind]:
        raise InvalidQueryParams(
            f"filters[{field}]: the operator {operator} does not fit the field"
        )
    sql, read = _operands(column, f"filters[{field}]", operator, values)
    piece = OPERATORS[operator].replace("COLUMN", sql)
    if "{}" not in piece:
        conditions.add_filter(piece)
    elif operator in ANY_OF:
        conditions.add_filter(piece, read)
    else:
        for value in read:
            conditions.add_filter(piece, value)


def _operands(
    column: Column, name: str, operator: str, values: Sequence[str]
) -> tuple[str, list[Any]]:
    """Return the column as the operator needs it, and the values of its type."""
    if operator in PATTERNS:
        return _text(column), [_escaped(value) for value in values]
    if column.kind == "json" and operator in COMPARISONS:
        if operator in DATE_COMPARISONS:
            return _text(column), [_json_instant(read_instant(name, value)) for value in values]
        return _number(column), [_decimal(name, value) for value in values]
    return _text(column), [_value(name, value, column.kind) for value in values]


def _text(column: Column) -> str:
    return column.text or column.sql


def _number(column: Column) -> str:
    return f"(CASE WHEN jsonb_typeof({column.sql}) = 'number' THEN ({column.text})::numeric END)"


def _json_instant(moment: datetime) -> str:
    """Return an instant as metadata writes one, so that texts compare as instants do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _column(field: str, columns: Mapping[str, Column], conditions: Conditions) -> Column:
    if field.startswith("metadata.") and "metadata" in columns:
        key = conditions.bind(field.removeprefix("metadata."))
        metadata = columns["metadata"].sql
        return Column(f"({metadata} -> {key}::text)", "json", f"({metadata} ->> {key}::text)")
    column = columns.get(field) if field != "metadata" else None
    if column is None:
        known = ", ".join(sorted(columns)) or "none"
        raise InvalidQueryParams(f"filters[{field}]: is not a field to filter by; known: {known}")
    return column


def _value(name: str, value: str, kind: str) -> Any:
    if kind == "timestamptz":
        return read_instant(name, value)
    if kind == "bigint":
        return whole(name, value, 0, 2**53)
    if kind == "boolean":
        if value.lower() not in {"true", "false"}:
            raise InvalidQueryParams(f"{name}: must be true or false")
        return value.lower() == "true"
    return value


def _decimal(name: str, value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > DIGITS_MAX:
        raise InvalidQueryParams(f"{name}: must be a number")
    return number


ANY_OF = {"$is", "$in", "$is_not", "$not_in"}
PATTERNS = {"$contains", "$not_contain", "$starts_with", "$ends_with"}
DATE_COMPARISONS = {"$after", "$before"}
COMPARISONS = {
    "$more_than",
    "$less_than",
    "$more_than_equal",
    "$less_than_equal",
    *DATE_COMPARISONS,
}
ANYWHERE = ANY_OF | {"$has_value", "$is_unknown"}
KINDS = {
    "text": ANYWHERE | PATTERNS,
    "bigint": ANYWHERE | COMPARISONS - DATE_COMPARISONS,
    "timestamptz": ANYWHERE | COMPARISONS,
    "boolean": ANYWHERE,
    "json": ANYWHERE | PATTERNS | COMPARISONS,
}
"""Which operators fit which kind of field."""
OPERATORS = {
    "$is": "COLUMN = ANY({})",
    "$in": "COLUMN = ANY({})",
    "$is_not": "(COLUMN IS NULL OR COLUMN <> ALL({}))",
    "$not_in": "(COLUMN IS NULL OR COLUMN <> ALL({}))",
    "$has_value": "COLUMN IS NOT NULL",
    "$is_unknown": "COLUMN IS NULL",
    "$contains": "COLUMN LIKE '%' || {} || '%'",
    "$not_contain": "(COLUMN IS NULL OR COLUMN NOT LIKE '%' || {} || '%')",
    "$starts_with": "COLUMN LIKE {} || '%'",
    "$ends_with": "COLUMN LIKE '%' || {}",
    "$more_than": "COLUMN > {}",
    "$less_than": "COLUMN < {}",
    "$more_than_equal": "COLUMN >= {}",
    "$less_than_equal": "COLUMN <= {}",
    "$after": "COLUMN > {}",
    "$before": "COLUMN < {}",
}
