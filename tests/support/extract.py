"""``python tests/support/extract.py <openapi.json>``: keep the response schemas of our operations.

The published document has two megabytes; what the tests need of it is kept beside them, packed.
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import gateway.operations  # noqa: F401 - registers all operations
from gateway.http import OPERATIONS

TARGET = Path(__file__).parent / "openapi.json.gz"

PROSE = {"description", "example", "examples", "title", "nullable", "default"}


def main(source: str) -> None:
    """Write the schemas of all operations that both documents have."""
    published = json.loads(Path(source).read_text())
    responses: dict[str, Any] = {}
    paths = {_unnamed(path): told for path, told in published["paths"].items()}
    for one in OPERATIONS:
        told = paths.get(_unnamed(one.path), {}).get(one.method.lower())
        for status, response in (told or {}).get("responses", {}).items():
            content = response.get("content", {}).get("application/json", {})
            if status.startswith("2") and "schema" in content:
                responses[f"{one.method} {one.path} {status}"] = content["schema"]
    kept: dict[str, Any] = {}
    _keep(responses, published["components"]["schemas"], kept)
    document = {"responses": responses, "schemas": kept}
    packed = gzip.compress(json.dumps(_plain(document), sort_keys=True).encode(), mtime=0)
    TARGET.write_bytes(packed)
    sys.stdout.write(f"{len(responses)} responses, {len(kept)} schemas, {len(packed)} bytes\n")


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


def _plain(node: Any) -> Any:
    """Return the schema as JSON Schema: ``nullable`` of OpenAPI 3.0 becomes a type; prose goes."""
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    is_property_map = "type" in node and isinstance(node["type"], dict)
    dropped = (
        set()
        if is_property_map
        else {"description", "example", "examples", "title", "nullable", "default"}
    )
    plain = {
        name: _plain(value)
        for name, value in node.items()
        if name not in dropped or isinstance(value, dict)
    }
    if "oneOf" in plain:
        # The published alternatives overlap, so that "exactly one" refuses what the API answers.
        plain["anyOf"] = plain.pop("oneOf")
    if "$ref" in plain and isinstance(plain["$ref"], str):
        plain = {"$ref": plain["$ref"].replace("#/components/schemas/", "#/schemas/")}
    if node.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


if __name__ == "__main__":
    main(sys.argv[1])
