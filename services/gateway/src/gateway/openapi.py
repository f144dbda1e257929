"""The OpenAPI document, generated from the registered operations: ``python -m gateway.openapi``."""

import json
import re
from pathlib import Path
from typing import Any

from gateway import limits
from gateway.body import Fields
from gateway.http import OPERATIONS, Operation

TARGET = Path("docs/openapi/tessera.json")
SECURITY: dict[str, dict[str, list[str]]] = {
    "server": {"X-App-Id": [], "X-App-Token": []},
    "client": {"X-Client-Application-Id": [], "X-Client-Token": []},
    "management": {"X-Management-Id": [], "X-Management-Token": []},
}
WORDS = re.compile(r"\{(\w+)\}")


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
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Tessera",
            "version": "0.1.0",
            "description": "Promotions and loyalty, in the shapes of the Voucherify API v1.",
        },
        "paths": paths,
        "components": {"securitySchemes": schemes, "schemas": {"Error": ERROR}},
    }


def _operation(one: Operation) -> dict[str, Any]:
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    told: dict[str, Any] = {
        "operationId": one.handler.__name__,
        "summary": one.summary,
        "tags": [_tag(one.path)],
        "security": [SECURITY[one.auth]],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in WORDS.findall(one.path)
        ],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": {}}}},
            "400": {"description": "Refused; names the property", **error},
            "401": {"description": "Keys are missing or wrong", **error},
            "404": {"description": "Not in this project", **error},
            **(
                {"409": {"description": "Taken, or the key of another request", **error}}
                if one.method != "GET"
                else {}
            ),
            "413": {"description": f"More than {limits.BODY_BYTES_MAX} bytes", **error},
            "429": {"description": "Too many requests", **error},
            "503": {"description": "Not decided: repeat with the same Idempotency-Key", **error},
        },
    }
    if one.method in {"POST", "PUT"}:
        told["parameters"].append(IDEMPOTENCY_KEY)
    if one.fields:
        told["requestBody"] = {"content": {"application/json": {"schema": _body(one.fields)}}}
    return told


def _body(fields: Fields) -> dict[str, Any]:
    names = [name for name, kind in fields.items() if kind.is_required]
    properties = {name: kind.schema for name, kind in fields.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": names} if names else schema


def _tag(path: str) -> str:
    words = [
        word for word in path.split("/") if word and word not in {"v1", "management", "client"}
    ]
    return words[0]


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key, operation and body have one effect and one answer, for a day at least.",
    "schema": {"type": "string", "maxLength": limits.IDEMPOTENCY_KEY_LENGTH_MAX},
}
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
    },
}


def main() -> None:
    """Write the document."""
    import gateway.operations  # noqa: F401, PLC0415 - registers all operations

    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(document(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
