"""``python tests/support/extract.py <openapi.json>``: keep what is published of our operations.

It has two megabytes. The schemas of responses go, packed, to the gateway, whose own documentation shows
them; those, the parameters of queries and the names of the bodies' properties go to the tests, which
check all three.
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import gateway.operations  # noqa: F401 - registers all operations
from gateway.http import OPERATIONS
from gateway.openapi import PUBLISHED

TARGET = Path(__file__).parent / "openapi.json.gz"

PROSE = {"description", "example", "examples", "title", "nullable", "default"}


def main(source: str) -> None:
    """Write the schemas of all operations that both documents have."""
    published = json.loads(Path(source).read_text())
    _mend(published["components"]["schemas"])
    responses: dict[str, Any] = {}
    queries: dict[str, Any] = {}
    requests: dict[str, list[str]] = {}
    paths = {_unnamed(path): told for path, told in published["paths"].items()}
    for one in OPERATIONS:
        told = paths.get(_unnamed(one.path), {}).get(one.method.lower())
        parameters = [_resolved(given, published) for given in (told or {}).get("parameters", [])]
        asked = [given for given in parameters if given["in"] == "query"]
        if asked:
            queries[one.name] = {given["name"]: given["schema"] for given in asked}
        if told is not None:
            requests[one.name] = sorted(
                _properties(_body(told), published["components"]["schemas"])
            )
        for status, response in (told or {}).get("responses", {}).items():
            content = response.get("content", {}).get("application/json", {})
            if status.startswith("2") and "schema" in content:
                responses[f"{one.method} {one.path} {status}"] = content["schema"]
    kept: dict[str, Any] = {}
    _keep(responses, published["components"]["schemas"], kept)
    document = {
        "responses": _plain(responses, is_map=True),
        "schemas": _plain(kept, is_map=True),
    }
    asked_for = {
        name: _plain(_whole(given, published), is_map=True) for name, given in queries.items()
    }
    _write(PUBLISHED, document)
    size = _write(TARGET, {**document, "queries": asked_for, "requests": requests})
    sys.stdout.write(
        f"{len(responses)} responses, {len(queries)} queries, {len(kept)} schemas, {size} bytes\n"
    )


def _write(target: Path, document: Any) -> int:
    packed = gzip.compress(json.dumps(document, sort_keys=True).encode(), mtime=0)
    target.write_bytes(packed)
    return len(packed)


def _resolved(given: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter that may be kept among the components."""
    name = str(given.get("$ref", "")).rpartition("/")[2]
    return published["components"]["parameters"][name] if name else given


def _whole(node: Any, published: dict[str, Any]) -> Any:
    """Return the schema with what it refers to in its place."""
    if isinstance(node, list):
        return [_whole(value, published) for value in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        name = node["$ref"].rpartition("/")[2]
        return _whole(published["components"]["schemas"][name], published)
    return {name: _whole(value, published) for name, value in node.items()}


def _mend(schemas: dict[str, Any]) -> None:
    """Mend misprints, where the document's own examples are otherwise than their schema."""
    tier = schemas["6_res_validate_promotion_object"]["properties"]
    tier["valid"] = {"type": "boolean"}
    tier["categories"] = {"type": "array", "items": {"$ref": "#/components/schemas/Category"}}
    _add_replacing(schemas)
    stacking = schemas["StackingRules"]["properties"]
    stacking["applicable_redeemables_per_category_limit"]["nullable"] = True


def _add_replacing(node: Any) -> None:
    """Add the effect REPLACE_ITEMS, which the document explains (`application_details`) but does not list."""
    if isinstance(node, list):
        if "ADD_SAME_ITEMS" in node and "REPLACE_ITEMS" not in node:
            node.append("REPLACE_ITEMS")
        for one in node:
            _add_replacing(one)
    elif isinstance(node, dict):
        for one in node.values():
            _add_replacing(one)


def _body(told: Any) -> Any:
    content = told.get("requestBody", {}).get("content", {})
    body = content.get("application/json") or content.get("multipart/form-data") or {}
    return body.get("schema", {})


def _properties(node: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of a body's properties, those of all its alternatives together."""
    if "$ref" in node:
        return _properties(schemas[node["$ref"].rpartition("/")[2]], schemas)
    if "items" in node:
        return _properties(node["items"], schemas)
    found = set(node.get("properties", {}))
    for alternatives in ("allOf", "oneOf", "anyOf"):
        for one in node.get(alternatives, []):
            found |= _properties(one, schemas)
    return found


def _unnamed(path: str) -> str:
    """Return the path without its parameters' names, of which some are others in our operations."""
    return re.sub(r"\{\w+\}", "{}", path)


def _keep(node: Any, schemas: dict[str, Any], kept: dict[str, Any]) -> None:
    if isinstance(node, dict):
        name = str(node.get("$ref", "")).rpartition("/")[2]
        if name and name not in kept:
            kept[name] = schemas[name]
            _keep(schemas[name], schemas, kept)
        for value in node.values():
            _keep(value, schemas, kept)
    elif isinstance(node, list):
        for value in node:
            _keep(value, schemas, kept)


def _plain(node: Any, *, is_map: bool = False) -> Any:
    """Return a schema as JSON Schema: ``nullable`` of OpenAPI 3.0 becomes a type; prose goes.

    ``is_map``: the node's keys are names of ours or of properties, not keywords.
    """
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    if is_map:
        return {name: _plain(value) for name, value in node.items()}
    plain = {
        name: _plain(value, is_map=name == "properties")
        for name, value in node.items()
        if name not in PROSE
    }
    if "oneOf" in plain:
        # The published alternatives overlap, so that "exactly one" refuses what the API answers.
        plain["anyOf"] = plain.pop("oneOf")
    if isinstance(plain.get("$ref"), str):
        plain = {"$ref": plain["$ref"].replace("#/components/schemas/", "#/schemas/")}
    if node.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


if __name__ == "__main__":
    main(sys.argv[1])
