"""What operations read from their query, as tables: a list's order, dates, filters and parameters.

``paging.py`` and ``filters.py`` read a request by the table, ``openapi.py`` makes the documentation of
it: a parameter is written down once. SQL in here names the list's table ``t``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from contracts import ids
from contracts.errors import InvalidQueryParams
from gateway import limits
from gateway.body import Kind


class Column(NamedTuple):
    """A field that may be filtered by: its SQL, and the type of its values."""

    sql: str
    kind: str = "text"
    """``text``, ``bigint``, ``timestamptz``, ``boolean``; ``flag`` for a boolean that is compared as the
    text TRUE or FALSE; ``json`` for a value of metadata or a list; ``state`` for a field whose operators
    are words of its own."""
    text: str = ""
    """SQL of a ``json`` value as text."""
    states: Mapping[str, str] = {}
    """Words that need no value (``$active``), and their conditions; ``{}`` stands for now."""


class Parameter(NamedTuple):
    """A parameter of an operation's own."""

    kind: Kind
    sql: str = ""
    """The condition that it adds to a list; ``{}`` stands for its value. Empty: the operation reads it."""
    bound: Callable[[str, Any], Any] = lambda project_id, value: value  # noqa: ARG005
    """What is bound for a value, with the project's id."""
    about: str = ""


class Query:
    """The parameters of an operation that is no list; others are ignored."""

    def __init__(self, **parameters: Parameter) -> None:
        self.parameters: Mapping[str, Parameter] = parameters


NO_QUERY = Query()


def columns(*names: str) -> dict[str, str]:
    """Return fields of the API whose columns have the same names."""
    return {name: f"t.{name}" for name in names}


@dataclass(frozen=True)
class Listing:
    """How a list is ordered, limited by dates, filtered and selected. Unknown parameters are refused."""

    orders: Mapping[str, str] = field(default_factory=lambda: columns("created_at"))
    """SQL of the fields to sort by; the id always breaks ties."""
    default: str = "-created_at"
    filters: Mapping[str, Column] = field(default_factory=dict)
    """``metadata`` in here stands for any ``metadata.<key>``."""
    dates: Mapping[str, str] = field(default_factory=lambda: columns("created_at"))
    """SQL of the fields that ``<field>[before]`` and ``<field>[after]`` limit."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    ids: str = ""
    """SQL of what ``ids`` names; empty: there is no such parameter."""
    cursor: str = ""
    """Table of the ids that ``starting_after_id`` names; empty: there is no such parameter."""
    size: int = 10
    """Objects of a page when ``limit`` is not sent."""


# -- kinds of values ------------------------------------------------------------------------------


def whole(name: str, value: str, least: int, most: int) -> int:
    """Read a whole number in a range; raises ``InvalidQueryParams``."""
    is_number = value.isascii() and value.isdigit() and len(value) <= limits.DIGITS_MAX
    if not is_number or not least <= int(value) <= most:
        raise InvalidQueryParams(f"{name}: must be a whole number from {least} to {most}")
    return int(value)


def read_instant(name: str, value: str) -> datetime:
    """Read an instant or a date."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidQueryParams(f"{name}: must be a date of ISO 8601") from None


def read_flag(name: str, value: str) -> bool:
    """Read true or false."""
    if value.lower() not in {"true", "false"}:
        raise InvalidQueryParams(f"{name}: must be true or false")
    return value.lower() == "true"


def read_day(name: str, value: str) -> date:
    """Read a date; the time of day of an instant is left out."""
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        day = date.min
    if not limits.CALENDAR_YEAR_MIN <= day.year <= limits.CALENDAR_YEAR_MAX:
        raise InvalidQueryParams(
            f"Property .{name} cannot be recognized as a ISO-8601 compliant date"
        )
    return day


def _read_text(name: str, value: str) -> str:
    del name
    return value


def integer(least: int, most: int) -> Kind:
    """Return the kind of a whole number in a range."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(schema, lambda name, value: whole(name, value, least, most))


def one_of(*words: str) -> Kind:
    """Return the kind of a parameter that is one of a few words."""

    def read(name: str, value: str) -> str:
        if value not in words:
            raise InvalidQueryParams(f"{name}: must be one of {', '.join(words)}")
        return value

    return Kind({"type": "string", "enum": list(words)}, read)


TEXT = Kind({"type": "string"}, _read_text)
FLAG = Kind({"type": "boolean"}, read_flag)
DAY = Kind({"type": "string", "format": "date"}, read_day)
INSTANT = Kind({"type": "string", "format": "date-time"}, read_instant)


def names_of_customer(project_id: str, name: str) -> list[str]:
    """Return the ids that a customer's id or ``source_id`` may stand for."""
    return [name, ids.customer_id(project_id, name)]


def id_of_code(project_id: str, code: str) -> str:
    """Return the id of the voucher with this code, however the project's codes are compared."""
    return ids.voucher_id(project_id, code)


def since(column: str) -> dict[str, Parameter]:
    """Return ``start_date`` and ``end_date`` of lists that have them."""
    return {
        "start_date": Parameter(INSTANT, f"{column} >= {{}}"),
        "end_date": Parameter(INSTANT, f"{column} < {{}}"),
    }
