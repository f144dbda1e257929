"""Query parameters of lists: page, order, ranges of dates, filters. Unknown ones are refused."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from contracts.errors import InvalidQueryParams
from gateway import limits
from gateway.http import Call, HttpError
from gateway.queries import Conditions

FILTER = re.compile(
    r"filters\[(?P<field>[\w.\- ]+)\]\[conditions\]\[(?P<operator>\$\w+)\](?:\[(?P<number>\d*)\])?"
)
DATE = re.compile(r"\[?(?P<field>created_at|updated_at)\]?\[(?P<side>before|after)\]")


class Column(NamedTuple):
    """A field that may be filtered by: its SQL, and the type of its values."""

    sql: str
    kind: str = "text"


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


def read_page(
    call: Call,
    *,
    orders: Sequence[str] = ("created_at",),
    default: str = "-created_at",
    columns: Mapping[str, Column] | None = None,
    parameters: Sequence[str] = (),
) -> Page:
    """Read the query; raises ``InvalidQueryParams`` that names what is wrong."""
    conditions = Conditions(call.project_id)
    given: dict[str, str] = {}
    limit, number, order = 10, 1, default
    filters: dict[tuple[str, str], list[str]] = {}
    for name, value in call.query:
        if "\x00" in value:
            raise InvalidQueryParams(f"{name}: must not contain the character NUL")
        if name == "limit":
            limit = _whole(name, value, 1, limits.PAGE_SIZE_MAX)
        elif name == "page":
            number = _page_number(value)
        elif name == "order":
            order = value
        elif DATE.fullmatch(name):
            _add_date(conditions, name, value)
        elif name.startswith("filters["):
            _collect_filter(conditions, filters, name, value)
        elif name in parameters:
            given[name] = value
        elif name not in {"filters", "expand"}:
            raise InvalidQueryParams(f"{name}: is not a parameter of this operation")
    for (field, operator), values in filters.items():
        _add_filter(conditions, field, operator, values, columns or {})
    return Page(conditions, _order(order, orders), limit, (number - 1) * limit, given)


def _whole(name: str, value: str, least: int, most: int) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise InvalidQueryParams(f"{name}: must be a whole number from {least} to {most}")
    return int(value)


def _page_number(value: str) -> int:
    number = _whole("page", value, 1, 10**9)
    if number > limits.PAGE_MAX:
        raise HttpError(
            400, "page_over_limit", "Page over limit", f"page: at most {limits.PAGE_MAX}"
        )
    return number


def _order(order: str, orders: Sequence[str]) -> str:
    name = order.removeprefix("-")
    if name not in orders:
        allowed = ", ".join(one for field in orders for one in (field, f"-{field}"))
        raise InvalidQueryParams(f"order: must be one of {allowed}")
    direction = "DESC" if order.startswith("-") else "ASC"
    return f"t.{name} {direction} NULLS LAST, t.id {direction}"


def read_instant(name: str, value: str) -> datetime:
    """Read an instant or a date."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidQueryParams(f"{name}: must be a date of ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _add_date(conditions: Conditions, name: str, value: str) -> None:
    match = DATE.fullmatch(name)
    assert match is not None, "checked by the caller"
    operator = "<" if match["side"] == "before" else ">"
    column = match["field"]
    conditions.add(f"t.{column} {operator} {{}}", read_instant(name, value))


def _collect_filter(
    conditions: Conditions, filters: dict[tuple[str, str], list[str]], name: str, value: str
) -> None:
    if name == "filters[junction]":
        if value.lower() not in {"and", "or"}:
            raise InvalidQueryParams("filters[junction]: must be and or or")
        conditions.junction = value.upper()
        return
    match = FILTER.fullmatch(name)
    if match is None:
        raise InvalidQueryParams(f"{name}: is not a filter")
    if match["operator"] not in OPERATORS:
        raise InvalidQueryParams(f"{name}: the operator {match['operator']} is not supported")
    filters.setdefault((match["field"], match["operator"]), []).append(value)
    if sum(map(len, filters.values())) > limits.FILTER_CONDITIONS_MAX:
        raise InvalidQueryParams(f"filters: at most {limits.FILTER_CONDITIONS_MAX} conditions")


def _add_filter(
    conditions: Conditions,
    field: str,
    operator: str,
    values: Sequence[str],
    columns: Mapping[str, Column],
) -> None:
    column = _column(field, columns, conditions)
    piece = OPERATORS[operator].replace("COLUMN", column.sql)
    if "{}" not in piece:
        conditions.add_filter(piece)
        return
    read = [_value(f"filters[{field}]", value, column.kind, piece) for value in values]
    if operator in ANY_OF:
        conditions.add_filter(piece, read)
        return
    for value in read:
        conditions.add_filter(piece, value)


def _column(field: str, columns: Mapping[str, Column], conditions: Conditions) -> Column:
    if field.startswith("metadata.") and "metadata" in columns:
        key = conditions.bind(field.removeprefix("metadata."))
        return Column(f"({columns['metadata'].sql} ->> {key})")
    column = columns.get(field)
    if column is None:
        known = ", ".join(sorted(columns)) or "none"
        raise InvalidQueryParams(f"filters[{field}]: is not a field to filter by; known: {known}")
    return column


def _value(name: str, value: str, kind: str, piece: str) -> Any:
    if "LIKE" in piece:
        return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    if kind == "timestamptz":
        return read_instant(name, value)
    if kind == "bigint":
        return _whole(name, value, 0, 2**53)
    if kind == "boolean":
        return value.lower() == "true"
    return value


ANY_OF = {"$is", "$in", "$is_not", "$not_in"}
OPERATORS = {
    "$is": "COLUMN = ANY({})",
    "$in": "COLUMN = ANY({})",
    "$is_not": "(COLUMN IS NULL OR COLUMN <> ALL({}))",
    "$not_in": "(COLUMN IS NULL OR COLUMN <> ALL({}))",
    "$has_value": "COLUMN IS NOT NULL",
    "$is_unknown": "COLUMN IS NULL",
    "$contains": "COLUMN LIKE '%' || {} || '%'",
    "$not_contain": "COLUMN NOT LIKE '%' || {} || '%'",
    "$starts_with": "COLUMN LIKE {} || '%'",
    "$ends_with": "COLUMN LIKE '%' || {}",
    "$more_than": "COLUMN > {}",
    "$less_than": "COLUMN < {}",
    "$more_than_equal": "COLUMN >= {}",
    "$less_than_equal": "COLUMN <= {}",
    "$after": "COLUMN > {}",
    "$before": "COLUMN < {}",
}
