"""The properties of a request's body: their kinds, checked before an operation sees them.

Here stands only what JSON type a property has, so that nothing odd reaches a command; what a property
means is for the service that owns it to judge. The same table makes the OpenAPI document.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from contracts import payload
from contracts.errors import InvalidPayload, JsonObject
from contracts.limits import WHOLE_NUMBER_MAX
from gateway import limits


class Kind(NamedTuple):
    """What a property may be: how it is documented and how it is read."""

    schema: JsonObject
    read: payload.Reader
    is_required: bool = False
    is_nullable: bool = True
    """Null is as if it was not sent where something is made or asked, and clears it in a change."""


Fields = Mapping[str, Kind]
NO_FIELDS: Fields = {}


def required(kind: Kind) -> Kind:
    """Return the kind for a property that has to be sent."""
    return kind._replace(is_required=True)


def kept(fields: Fields, *names: str) -> Fields:
    """Return the fields with those named that a change may set but not clear."""
    return {**fields, **{name: fields[name]._replace(is_nullable=False) for name in names}}


def one_of(*words: str) -> Kind:
    """Return the kind of a property that is one of a few words."""
    return Kind({"type": "string", "enum": list(words)}, payload.one_of(*words))


def list_of(kind: Kind, count_max: int = limits.LIST_LENGTH_MAX) -> Kind:
    """Return the kind of a list."""
    schema = {"type": "array", "items": kind.schema, "maxItems": count_max}
    return Kind(schema, payload.list_of(kind.read, count_max))


def integer(least: int = -WHOLE_NUMBER_MAX, most: int = WHOLE_NUMBER_MAX) -> Kind:
    """Return the kind of a whole number in a range."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(schema, payload.whole_number(least, most))


def _as_it_is(path: str, value: Any) -> Any:
    del path
    return value


def _name(path: str, value: Any) -> str:
    text: str = TEXT.read(path, value)
    if not text:
        raise payload.refuse(path, "must not be empty")
    return text


TEXT = Kind({"type": "string"}, payload.text(limits.TEXT_LENGTH_MAX))
NAME = Kind({"type": "string", "minLength": 1}, _name)
INTEGER = integer()
BOOLEAN = Kind({"type": "boolean"}, payload.boolean)
OBJECT = Kind({"type": "object"}, payload.json_object)
TEXTS = list_of(NAME)
ANY = Kind({}, _as_it_is)
"""Several types are allowed: the owner reads it."""
LIST = list_of(ANY)


def read(body: JsonObject, fields: Fields, path: str = "") -> JsonObject:
    """Return the known properties; null stays null. Others are ignored, as the public API does."""
    found: JsonObject = {}
    for name, kind in fields.items():
        value = body.get(name)
        if value is not None:
            found[name] = kind.read(payload.join(path, name), value)
        elif kind.is_required:
            raise payload.refuse(payload.join(path, name), "is required")
        elif name in body:
            if not kind.is_nullable:
                raise payload.refuse(payload.join(path, name), "must not be null")
            found[name] = None
    return found


CSV_FILE = Kind({"type": "string", "format": "binary"}, payload.text(limits.BULK_BODY_BYTES_MAX))
"""A file in a form."""


def read_elements(elements: Any, fields: Fields, count_max: int) -> list[JsonObject]:
    """Return the known properties of each object of a list; the path at fault begins with its index."""
    if not isinstance(elements, list) or not 1 <= len(elements) <= count_max:
        raise InvalidPayload(f"The body must be a list of 1 to {count_max} objects")
    return [_read_element(f"[{index}]", one, fields) for index, one in enumerate(elements)]


def _read_element(path: str, element: Any, fields: Fields) -> JsonObject:
    if not isinstance(element, dict):
        raise payload.refuse(path, "must be an object")
    return read(element, fields, path)


# -- JSON ----------------------------------------------------------------------------------------

TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_json(raw: bytes) -> Any:
    """Return the body; refuses what is no JSON, nested too deeply, ambiguous, or not storable."""
    if _depth(raw) > limits.BODY_DEPTH_MAX:
        raise InvalidPayload(f"The body is nested more than {limits.BODY_DEPTH_MAX} levels deep")
    try:
        body = orjson.loads(raw)
        NAMES_ONCE.decode(raw.decode())
    except json.JSONDecodeError as error:  # orjson's own is one of them
        raise InvalidPayload(f"The body is not JSON: {error}") from None
    if b"\\u0000" in raw:
        _refuse_nul(body)
    return body


def _refuse_repeated(members: Sequence[tuple[str, Any]]) -> JsonObject:
    """Refuse an object in which a name stands twice: readers differ in which counts (RFC 8259, 4)."""
    names = dict(members)
    if len(names) < len(members):
        counts = Counter(name for name, _ in members)
        raise payload.refuse(counts.most_common(1)[0][0], "stands more than once in one object")
    return names


NAMES_ONCE = json.JSONDecoder(object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)
"""Reads names only; values, which it leaves as text, are read by orjson, which cannot tell of names."""


def _depth(raw: bytes) -> int:
    """Return how deeply brackets nest, those within strings left out; not recursive."""
    if raw.count(b"{") + raw.count(b"[") <= limits.BODY_DEPTH_MAX:
        return 0
    depth = deepest = 0
    for mark in TOKENS.findall(raw):
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"}", b"]"):
            depth -= 1
    return deepest


def _refuse_nul(body: Any) -> None:
    """Refuse a text with the character NUL, which no column can hold; not recursive."""
    todo: list[tuple[str, Any]] = [("", body)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, str) and "\x00" in value:
            raise payload.refuse(path or "The body", "must not contain the character NUL")
        if isinstance(value, list):
            todo.extend((f"{path}[{index}]", one) for index, one in enumerate(value))
        elif isinstance(value, dict):
            if any("\x00" in name for name in value):
                raise payload.refuse(path or "The body", "has a name with the character NUL in it")
            todo.extend((payload.join(path, name), one) for name, one in value.items())
