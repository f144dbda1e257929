"""Reads the query of a request by its operation's table. A list refuses parameters it does not know."""

import ast
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from contracts.errors import InvalidQueryParams
from gateway import filters, limits, queries
from gateway.http import Call, HttpError
from gateway.queries import Conditions
from gateway.query import Column, Listing, Query, read_instant, whole
from runtime import clock

FILTER = re.compile(
    r"filters\[(?P<field>[^\[\]]+)\](?:\[conditions\])?\[\$?(?P<operator>\w+)\](?:\[\d*\])?"
)
DATE = re.compile(r"\[?(?P<field>[a-z_]+)\]?\[(?P<side>before|after)\]")
IDS = re.compile(r"ids(?:\[\d*\])?")
NUMBER = re.compile(r"\[\d*\]$")
NEVER_NULL = {"t.created_at", "t.date", "t.id", "t.code"}
ID = "t.id"


class Page(NamedTuple):
    """What to read of a list."""

    conditions: Conditions
    order: str
    limit: int
    offset: int
    given: dict[str, Any]
    """Parameters that the operation reads itself."""

    @property
    def arguments(self) -> tuple[Conditions, str, int, int]:
        """The arguments of ``queries.page`` after the table."""
        return self.conditions, self.order, self.limit, self.offset


class _Reader:
    """Collects the parameters of one query."""

    def __init__(self, call: Call, listing: Listing) -> None:
        self.conditions = Conditions(call.project_id)
        self.given: dict[str, Any] = {}
        self.filters: dict[str, dict[str, list[str]]] = {}
        self.ids: list[str] = []
        self.limit = listing.size
        self.number = 1
        self.order = listing.default
        self.after_id: str | None = None
        self._project_id = call.project_id
        self._listing = listing

    def take(self, name: str, value: str) -> None:
        """Read one parameter; raises ``InvalidQueryParams`` that names it."""
        listing = self._listing
        parameter = listing.parameters.get(NUMBER.sub("", name))
        if "\x00" in value:
            raise InvalidQueryParams(f"{name}: must not contain the character NUL")
        if parameter is not None:
            read = parameter.kind.read(name, value)
            self.given[name] = read
            if parameter.sql:
                bound = parameter.bound(self._project_id, read)
                self.conditions.add(parameter.sql, *[bound] * parameter.sql.count("{}"))
        elif name == "limit":
            self.limit = whole(name, value, 1, limits.PAGE_SIZE_MAX)
        elif name == "page":
            self.number = _page_number(value)
        elif name == "order" and listing.orders:
            self.order = value
        elif name.startswith("filters["):
            self._collect_filter(name, value)
        elif listing.ids and IDS.fullmatch(name):
            self.ids += [one for part in values_of(value) for one in part.split(",") if one]
        elif listing.cursor and name == "starting_after_id":
            self.after_id = value
        else:
            self._add_date(name, value)

    def _add_date(self, name: str, value: str) -> None:
        match = DATE.fullmatch(name)
        column = self._listing.dates.get(match["field"]) if match is not None else None
        if match is None or column is None:
            raise InvalidQueryParams(f"{name}: is not a parameter of this operation")
        sign = "<" if match["side"] == "before" else ">"
        self.conditions.add(f"{column} {sign} {{}}", read_instant(name, value))

    def _collect_filter(self, name: str, value: str) -> None:
        if name == "filters[junction]":
            if value.lower() not in {"and", "or"}:
                raise InvalidQueryParams("filters[junction]: must be and or or")
            self.conditions.junction = value.upper()
            return
        match = FILTER.fullmatch(name)
        if match is None:
            raise InvalidQueryParams(f"{name}: is not a filter")
        operators = self.filters.setdefault(match["field"], {})
        operators.setdefault(f"${match['operator']}", []).extend(values_of(value))
        counts = [len(values) for known in self.filters.values() for values in known.values()]
        if sum(counts) > limits.FILTER_CONDITIONS_MAX:
            raise InvalidQueryParams(f"filters: at most {limits.FILTER_CONDITIONS_MAX} conditions")


def values_of(value: str) -> list[str]:
    """Return the values of a parameter: one, or those of a list as the official Python client writes it."""
    if value.startswith("['") and value.endswith("']"):
        try:
            listed = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return [value]
        if all(isinstance(one, str) for one in listed):
            return listed  # type: ignore[no-any-return]
    return [value]


async def read_page(call: Call) -> Page:
    """Read the query of a list; raises ``InvalidQueryParams`` that names what is wrong."""
    listing = call.operation.query
    assert isinstance(listing, Listing), f"{call.operation.name} has no table of a list"
    reader = _Reader(call, listing)
    for name, value in call.query:
        reader.take(name, value)
    conditions = reader.conditions
    if reader.filters:
        await _add_filters(call, reader, listing)
    if len(reader.ids) > limits.PAGE_SIZE_MAX:
        raise InvalidQueryParams(f"ids: at most {limits.PAGE_SIZE_MAX}")
    if reader.ids:
        conditions.add(f"{listing.ids} = ANY({{}})", reader.ids)
    order = _order(reader.order, listing.orders) if listing.orders else ""
    if reader.after_id is not None:
        _start_after(conditions, reader, listing)
    offset = (reader.number - 1) * reader.limit
    return Page(conditions, order, reader.limit, offset, reader.given)


def read_parameters(call: Call) -> dict[str, Any]:
    """Read the parameters of an operation that is no list; others are ignored."""
    query = call.operation.query
    assert isinstance(query, Query), f"{call.operation.name} is a list"
    found = {}
    for name, value in call.query:
        parameter = query.parameters.get(name)
        if parameter is not None:
            if "\x00" in value:
                raise InvalidQueryParams(f"{name}: must not contain the character NUL")
            found[name] = parameter.kind.read(name, value)
    for name, parameter in query.parameters.items():
        if parameter.kind.is_required and not found.get(name):
            raise InvalidQueryParams(f"{name}: is required")
    return found


def _page_number(value: str) -> int:
    number = whole("page", value, 1, 10**9)
    if number > limits.PAGE_MAX:
        raise HttpError(
            400, "page_over_limit", "Page over limit", f"page: at most {limits.PAGE_MAX}"
        )
    return number


def _order(order: str, orders: Mapping[str, str]) -> str:
    column = orders.get(order.removeprefix("-"))
    if column is None:
        allowed = ", ".join(one for field in orders for one in (field, f"-{field}"))
        raise InvalidQueryParams(f"order: must be one of {allowed}")
    direction = "DESC" if order.startswith("-") else "ASC"
    # Without NULLS LAST the index serves both directions.
    nulls = "" if column in NEVER_NULL else " NULLS LAST"
    return f"{column} {direction}{nulls}, {ID} {direction}"


def _start_after(conditions: Conditions, reader: _Reader, listing: Listing) -> None:
    """Go on behind an object of the list, in the list's own order."""
    column = listing.orders[reader.order.removeprefix("-")]
    assert column in NEVER_NULL, "a row with a NULL is neither before nor behind another"
    sign = "<" if reader.order.startswith("-") else ">"
    conditions.start_behind(listing.cursor, column, sign, reader.after_id or "")


async def _add_filters(call: Call, reader: _Reader, listing: Listing) -> None:
    """Add the filters: the operators of one field must all hold, the junction ties fields together."""
    async with call.gateway.connection() as connection:
        project = await queries.project(connection, call.project_id)
    today = filters.Today(clock.now(), (project or {}).get("timezone", "UTC"))
    bind = reader.conditions.bind
    for field, operators in reader.filters.items():
        column = _column(field, listing.filters, reader.conditions)
        pieces = [
            filters.condition(column, f"filters[{field}]", operator, values, today, bind)
            for operator, values in operators.items()
        ]
        reader.conditions.filters.append(" AND ".join(pieces))


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
