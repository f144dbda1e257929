"""Reading JSON bodies: values of the right type and size, or a refusal that names the property.

Every service that takes a body inside a command reads it here, so that a wrong value is refused in
the same words everywhere. Not for the shape of commands themselves: pydantic reads those.

``FIELDS = {"name": text(100), "price": whole_number(0, PRICE_MAX)}`` and ``read(changes, FIELDS)`` return
the fields that were sent; unknown ones are ignored, as the public API does.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from contracts import limits
from contracts.errors import InvalidPayload, JsonObject

Reader = Callable[[str, Any], Any]
"""Takes the property's path and the value that was sent; returns the value to keep."""

Fields = Mapping[str, Reader]


def refuse(path: str, reason: str) -> InvalidPayload:
    """Return the refusal of the property at ``path``; ``reason`` begins with "must"."""
    return InvalidPayload(f"{path}: {reason}", prop=path)


def read(body: JsonObject, fields: Fields, path: str = "") -> dict[str, Any]:
    """Return the known fields of ``body``; raises :class:`InvalidPayload` for the first wrong one."""
    return {
        name: reader(join(path, name), body[name])
        for name, reader in fields.items()
        if name in body
    }


def read_leniently(body: JsonObject, fields: Fields) -> dict[str, Any]:
    """Return the known fields of ``body`` that are right; the others are left out.

    For what another service has already accepted: a reaction never refuses.
    """
    kept = {}
    for name, reader in fields.items():
        if name in body:
            try:
                kept[name] = reader(name, body[name])
            except InvalidPayload:
                continue
    return kept


def join(path: str, name: str) -> str:
    """Return the path of ``name`` inside ``path``."""
    return f"{path}.{name}" if path else name


def optional(reader: Reader) -> Reader:
    """Read null as "no value"."""
    return lambda path, value: None if value is None else reader(path, value)


def required(reader: Reader, body: JsonObject, name: str, path: str = "") -> Any:
    """Return field ``name``, which must have been sent."""
    if body.get(name) is None:
        raise refuse(join(path, name), "must be set")
    return reader(join(path, name), body[name])


def text(length_max: int, *, pattern: str | None = None, meaning: str = "") -> Reader:
    """Text of at most ``length_max`` characters; ``pattern`` must match all of it."""
    compiled = re.compile(pattern) if pattern else None

    def reader(path: str, value: Any) -> str:
        if not isinstance(value, str):
            raise refuse(path, "must be a string")
        if len(value) > length_max:
            raise refuse(path, f"must have at most {length_max} characters")
        if not is_storable(value):
            raise refuse(path, "must not contain NUL or half of a surrogate pair")
        if compiled is not None and compiled.fullmatch(value) is None:
            raise refuse(path, f"must be {meaning}")
        return value

    return reader


def is_storable(value: str) -> bool:
    """Say whether Postgres and JSON can keep this text."""
    if "\x00" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def whole_number(least: int = 0, most: int = limits.WHOLE_NUMBER_MAX) -> Reader:
    """Integer in a range. ``10.0`` is one, ``true`` is none."""

    def reader(path: str, value: Any) -> int:
        if type(value) is int and least <= value <= most:
            return value
        is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or is_whole):
            raise refuse(path, "must be an integer")
        if not least <= value <= most:
            raise refuse(path, f"must be from {least} to {most}")
        return int(value)

    return reader


def boolean(path: str, value: Any) -> bool:
    """True or false, and nothing that looks like it."""
    if not isinstance(value, bool):
        raise refuse(path, "must be true or false")
    return value


def one_of(*values: str) -> Reader:
    """One of a few words."""

    def reader(path: str, value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise refuse(path, f"must be one of {', '.join(values)}")
        return value

    return reader


def list_of(reader: Reader, count_max: int) -> Reader:
    """List of at most ``count_max`` values."""

    def read_list(path: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise refuse(path, "must be a list")
        if len(value) > count_max:
            raise refuse(path, f"must have at most {count_max} elements")
        return [reader(f"{path}[{index}]", element) for index, element in enumerate(value)]

    return read_list


def json_object(path: str, value: Any) -> JsonObject:
    """Any object; its contents are read elsewhere."""
    if not isinstance(value, dict):
        raise refuse(path, "must be an object")
    return value


def object_of(fields: Fields) -> Reader:
    """Object with these fields."""
    return lambda path, value: read(json_object(path, value), fields, path)


def calendar_date(path: str, value: Any) -> str:
    """ISO 8601 date; the time of day of an instant is dropped."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10]).isoformat()
        except ValueError:
            pass
    raise refuse(path, "must be a date such as 1990-12-31")


def instant(path: str, value: Any) -> datetime:
    """ISO 8601 instant or date; UTC where it names no zone."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise refuse(path, "must be a date and time such as 2026-01-31T12:00:00Z")


def metadata(path: str, value: Any) -> JsonObject:
    """Metadata: an object of bounded size and depth. Null is an object without keys."""
    if value is None:
        return {}
    body = json_object(path, value)
    if len(body) > limits.METADATA_KEYS_MAX:
        raise refuse(path, f"must have at most {limits.METADATA_KEYS_MAX} keys")
    return storable_object(path, body)


def storable_object(path: str, value: Any) -> JsonObject:
    """Any object that JSON and Postgres can keep, of the size and depth that metadata may have."""
    body = json_object(path, value)
    if _weigh(path, body, limits.METADATA_DEPTH_MAX) > limits.METADATA_BYTES_MAX:
        raise refuse(path, f"must have at most {limits.METADATA_BYTES_MAX} characters")
    return body


def merge_metadata(stored: JsonObject, changes: JsonObject, path: str = "metadata") -> JsonObject:
    """Return ``stored`` with the changes: key by key, a null removes its key."""
    merged = {**stored, **changes}
    return metadata(path, {key: value for key, value in merged.items() if value is not None})


def _weigh(path: str, value: Any, depth_left: int) -> int:
    """Return about how many characters ``value`` has; refuses what cannot be stored."""
    if isinstance(value, str):
        if not is_storable(value):
            raise refuse(path, "must not contain NUL or half of a surrogate pair")
        return len(value) + 2
    if isinstance(value, bool) or value is None:
        return 5
    if isinstance(value, int):
        if abs(value) > limits.WHOLE_NUMBER_MAX:
            raise refuse(path, "must not contain integers beyond 2^53")
        return 16
    if isinstance(value, float):
        if not math.isfinite(value):
            raise refuse(path, "must be a finite number")
        return 16
    if depth_left == 0:
        raise refuse(path, f"must have at most {limits.METADATA_DEPTH_MAX} levels")
    if isinstance(value, list):
        return 2 + sum(_weigh(path, element, depth_left - 1) for element in value)
    body = json_object(path, value)
    return 2 + sum(_weigh_key(path, key, body[key], depth_left) for key in body)


def _weigh_key(path: str, key: str, value: Any, depth_left: int) -> int:
    inner = join(path, key)[: limits.METADATA_KEY_LENGTH_MAX]
    if not is_storable(key) or len(key) > limits.METADATA_KEY_LENGTH_MAX:
        raise refuse(
            path,
            f"must have keys of at most {limits.METADATA_KEY_LENGTH_MAX} storable characters",
        )
    return len(key) + 4 + _weigh(inner, value, depth_left - 1)
