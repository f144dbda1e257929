"""The OpenAPI document, generated from the registered operations: ``python -m gateway.openapi``.

Parameters come from the tables that requests are read by, bodies from the operations' fields; an answer
has the schema published for the public API (``published.json.gz``, written by
``tests/support/extract.py``), or that of the operation itself where it is our own.
"""

import gzip
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from contracts.errors import JsonObject
from gateway import limits
from gateway.body import Fields, Kind
from gateway.filters import operators_of
from gateway.http import A_FORM, A_LIST, OPERATIONS, POSITIONS_HEADER, Operation
from gateway.query import Column, Listing, Parameter

TARGET = Path("docs/openapi/tessera.json")
PUBLISHED = Path(__file__).parent / "published.json.gz"
SECURITY: dict[str, dict[str, list[str]]] = {
    "server": {"X-App-Id": [], "X-App-Token": []},
    "client": {"X-Client-Application-Id": [], "X-Client-Token": []},
    "management": {"X-Management-Id": [], "X-Management-Token": []},
}
WORDS = re.compile(r"\{(\w+)\}")
STATUS_TEXTS = {200: "Done", 202: "Begun: it goes on asynchronously", 204: "Done, nothing to show"}
NO_CONTENT = 204


def document() -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, Any] = {}
    for one in sorted(OPERATIONS, key=lambda found: (found.path, found.method)):
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    schemes = {
        name: {"type": "apiKey", "in": "header", "name": name}
        for pair in SECURITY.values()
        for name in pair
    }
    components = {
        "securitySchemes": schemes,
        "schemas": {"Error": ERROR, **_named(paths)},
        "parameters": PARAMETERS,
        "headers": HEADERS,
        "responses": {name: _refusal(text) for name, text in REFUSALS.values()},
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Tessera",
            "version": "0.1.0",
            "description": "Promotions and loyalty, in the shapes of the Voucherify API v1.",
        },
        "paths": paths,
        "components": components,
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.handler.__name__,
        "summary": one.summary,
        "tags": [_tag(one.path)],
        "security": [SECURITY[one.auth]],
        "parameters": [*_path_parameters(one), *_query_parameters(one), *_headers(one)],
        "responses": {
            **{str(status): _answer(one, status) for status in one.statuses},
            **{
                str(status): {"$ref": f"#/components/responses/{name}"}
                for status, (name, _) in REFUSALS.items()
                if _may_refuse(one, status)
            },
        },
    }
    if one.fields:
        told["requestBody"] = {
            "required": any(kind.is_required for kind in one.fields.values()),
            "content": _content(one),
        }
    return told


def _may_refuse(one: Operation, status: int) -> bool:
    if status == FORBIDDEN:
        return bool(one.setting)
    if status == TIMED_OUT:
        return one.is_bulk
    return one.method != "GET" or status not in WRITES_ONLY


def _content(one: Operation) -> dict[str, Any]:
    if one.takes == A_FORM:
        fields = {name: kind._replace(is_nullable=False) for name, kind in one.fields.items()}
        return {"multipart/form-data": {"schema": _body(fields)}}
    schema = _body(one.fields)
    if one.takes == A_LIST:
        listed = {"type": "array", "items": schema, "minItems": 1}
        return {"application/json": {"schema": {**listed, "maxItems": limits.BULK_ELEMENTS_MAX}}}
    return {"application/json": {"schema": schema}}


def _body(fields: Fields) -> dict[str, Any]:
    names = [name for name, kind in fields.items() if kind.is_required]
    properties = {name: _property(kind) for name, kind in fields.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": names} if names else schema


def _property(kind: Kind) -> JsonObject:
    """Return the kind's schema, which null may stand for where the property may be left out."""
    if kind.is_required or not kind.is_nullable or not kind.schema:
        return kind.schema
    words = {"enum": [*kind.schema["enum"], None]} if "enum" in kind.schema else {}
    return {**kind.schema, **words, "nullable": True}


def _tag(path: str) -> str:
    words = [
        word for word in path.split("/") if word and word not in {"v1", "management", "client"}
    ]
    return words[0]


# -- parameters -----------------------------------------------------------------------------------


def _path_parameters(one: Operation) -> list[JsonObject]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in WORDS.findall(one.path)
    ]


def _headers(one: Operation) -> list[JsonObject]:
    names = ["Positions"] if one.method == "GET" else ["Positions", "IdempotencyKey"]
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _query_parameters(one: Operation) -> list[JsonObject]:
    own = [_own(name, parameter) for name, parameter in one.query.parameters.items()]
    return [*_list_parameters(one.query), *own] if isinstance(one.query, Listing) else own


def _own(name: str, parameter: Parameter) -> JsonObject:
    schema = parameter.kind.schema
    told = {**_query(name, schema), "required": parameter.kind.is_required}
    if schema.get("type") == "object":
        told |= {"style": "deepObject", "explode": True}
    return {**told, "description": parameter.about} if parameter.about else told


def _query(name: str, schema: JsonObject, **more: Any) -> JsonObject:
    return {"name": name, "in": "query", "required": False, "schema": schema, **more}


def _list_parameters(listing: Listing) -> Iterable[JsonObject]:
    size = {"type": "integer", "minimum": 1, "maximum": limits.PAGE_SIZE_MAX}
    yield _query("limit", {**size, "default": listing.size})
    yield _query("page", {"type": "integer", "minimum": 1, "maximum": limits.PAGE_MAX})
    if listing.orders:
        words = [word for field in listing.orders for word in (field, f"-{field}")]
        yield _query("order", {"type": "string", "enum": words, "default": listing.default})
    instant = {"type": "string", "format": "date-time"}
    for field in listing.dates:
        sides = {"type": "object", "properties": {"before": instant, "after": instant}}
        yield _query(field, sides, style="deepObject", explode=True)
    if listing.ids:
        texts = {"type": "array", "items": {"type": "string"}, "maxItems": limits.PAGE_SIZE_MAX}
        yield _query("ids", texts)
    if listing.cursor:
        yield _query("starting_after_id", {"type": "string"})
    if listing.filters:
        about = "filters[field][conditions][$operator][0]=value, filters[junction]=and|or"
        schema = {"type": "object", "properties": _filters(listing)}
        yield _query("filters", schema, style="deepObject", explode=True, description=about)


def _filters(listing: Listing) -> JsonObject:
    told: JsonObject = {"junction": {"type": "string", "enum": ["and", "or"]}}
    for name, column in listing.filters.items():
        shown = Column("", "json") if name == "metadata" else column
        conditions: JsonObject = {operator: {} for operator in operators_of(shown)}
        schema = {"type": "object", "properties": conditions}
        field = "metadata.<key>" if name == "metadata" else name
        told[field] = {"type": "object", "properties": {"conditions": schema}}
    return told


# -- answers --------------------------------------------------------------------------------------


def _answer(one: Operation, status: int) -> JsonObject:
    told: JsonObject = {"description": STATUS_TEXTS[status], "headers": _answer_headers(one)}
    if status == NO_CONTENT:
        return told
    return {**told, "content": {"application/json": {"schema": schema_of(one, status)}}}


def list_schema(schema: JsonObject) -> JsonObject:
    """Return the schema of a list of our own."""
    return {
        "type": "object",
        "required": ["object", "data_ref", "data", "total"],
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "data_ref": {"type": "string", "enum": ["data"]},
            "data": {"type": "array", "items": schema},
            "total": {"type": "integer"},
        },
    }


def _answer_headers(one: Operation) -> JsonObject:
    names = ["X-Request-Id"]
    if one.method != "GET":
        names += ["X-Tessera-Positions", "Idempotency-Replayed"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def schema_of(one: Operation, status: int) -> JsonObject:
    """Return the schema of an answer; raises ``LookupError`` for one that nobody has described."""
    if one.shown is not None:
        return one.shown
    published = _published()["responses"].get(f"{one.name} {status}")
    if published is None:
        raise LookupError(f"{one.name} {status}: run tests/support/extract.py, or give it `shown`")
    found: JsonObject = _as_openapi(published)
    return found


@cache
def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
    return found


def _as_openapi(node: Any) -> Any:
    """Return a JSON Schema as OpenAPI 3.0 writes it: a type "null" becomes ``nullable``."""
    if isinstance(node, list):
        return [_as_openapi(value) for value in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return {"$ref": node["$ref"].replace("#/schemas/", "#/components/schemas/")}
    told = {name: _as_openapi(value) for name, value in node.items()}
    branches = told.get("anyOf")
    if isinstance(branches, list) and NULL in branches:
        others = [branch for branch in branches if branch != NULL]
        if len(others) == 1 and "$ref" not in others[0]:
            return {**others[0], "nullable": True}
        # Beside a reference nothing counts, so it stands in a list of its own.
        return {"anyOf": others, "nullable": True}
    return told


NULL = {"type": "null"}


def _named(paths: JsonObject) -> JsonObject:
    """Return the published schemas that the paths refer to, and those that these refer to."""
    found: JsonObject = {}
    waiting = _references(paths)
    while waiting:
        name = waiting.pop()
        if name not in found and name != "Error":
            found[name] = _as_openapi(_published()["schemas"][name])
            waiting |= _references(found[name])
    return dict(sorted(found.items()))


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for value in node for name in _references(value)}
    if not isinstance(node, dict):
        return set()
    own = {str(node["$ref"])} if isinstance(node.get("$ref"), str) else set()
    schemas = {one.rpartition("/")[2] for one in own if one.startswith("#/components/schemas/")}
    return schemas | {name for value in node.values() for name in _references(value)}


def _refusal(text: str) -> JsonObject:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


FORBIDDEN, TIMED_OUT = 403, 408
WRITES_ONLY = {409, 413, 415}
REFUSALS = {
    400: ("Refused", "Refused; names the property"),
    401: ("Unauthorized", "Keys are missing or wrong"),
    403: ("Forbidden", "The project has switched this off for client-side keys"),
    404: ("NotFound", "Not in this project"),
    408: ("RequestTimeout", "The body came too slowly"),
    409: ("Conflict", "Taken, or the key of another request"),
    413: ("TooLarge", f"More than {limits.BODY_BYTES_MAX} bytes"),
    415: ("UnsupportedMediaType", "The body is not JSON"),
    429: ("TooManyRequests", "Too many requests"),
    503: ("Unavailable", "Not decided: repeat with the same Idempotency-Key"),
}
PARAMETERS: dict[str, JsonObject] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key, operation and body have one effect and one answer, for a day at least.",
        "schema": {"type": "string", "maxLength": limits.IDEMPOTENCY_KEY_LENGTH_MAX},
    },
    "Positions": {
        "name": "X-Tessera-Positions",
        "in": "header",
        "required": False,
        "description": "What an earlier answer's header of this name said: shows at least these writes.",
        "schema": {"type": "string"},
    },
}
HEADERS = {
    "X-Request-Id": {
        "description": "Names the request in logs and messages.",
        "schema": {"type": "string"},
    },
    "X-Tessera-Positions": {
        "description": "What was written: send it to another gateway to see it there.",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "The answer is that of an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
assert PARAMETERS["Positions"]["name"].lower() == POSITIONS_HEADER, "one name, written in two cases"
ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer"},
        "key": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "string"},
        "request_id": {"type": "string"},
        "resource_id": {"type": "string"},
        "resource_type": {"type": "string"},
        "error": {"type": "object", "properties": {"message": {"type": "string"}}},
    },
}


def main() -> None:
    """Write the document."""
    import gateway.operations  # noqa: F401, PLC0415 - registers all operations

    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(document(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
