"""The API's own documentation is current, complete, and served without anybody else's help."""

import json
import re
from typing import Any

import jsonschema
import pytest
from jsonschema.exceptions import best_match

import gateway.operations  # noqa: F401 - registers all operations
from contracts.errors import InvalidPayload
from gateway import openapi
from gateway.body import Fields, read
from gateway.http import A_FORM, OPERATIONS, Operation
from gateway.query import Listing
from runtime.testing.servers import REPOSITORY
from services.gateway.tests.edge.front import Front


def test_the_document_is_current() -> None:
    stored = json.loads((REPOSITORY / openapi.TARGET).read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(openapi.document())), "run `make docs`"


def test_every_operation_is_documented_once() -> None:
    paths = openapi.document()["paths"]
    documented = {(method.upper(), path) for path, found in paths.items() for method in found}
    assert documented == {(one.method, one.path) for one in OPERATIONS}
    assert len(documented) == len(OPERATIONS)
    names = [found["operationId"] for methods in paths.values() for found in methods.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", [one for one in OPERATIONS if one.fields], ids=lambda one: one.name)
def test_null_may_be_sent_where_the_document_says_so(one: Operation) -> None:
    if one.takes == A_FORM:  # A form has no null.
        return
    content = openapi.document()["paths"][one.path][one.method.lower()]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    properties = schema.get("items", schema)["properties"]
    for name, kind in one.fields.items():
        is_told = properties[name].get("nullable", not properties[name])
        assert is_told == _is_read({name: None}, {name: kind}), name


def _is_read(body: Any, fields: Fields) -> bool:
    try:
        return bool(read(body, fields))
    except InvalidPayload:
        return False


def test_what_must_be_sent_is_told() -> None:
    paths = openapi.document()["paths"]
    body = paths["/v1/redemptions"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["redeemables"]
    assert body["schema"]["properties"]["redeemables"]["maxItems"] == 30
    codes = set(paths["/v1/campaigns/{campaignId}/vouchers"]["post"]["responses"])
    assert {"200", "400", "401", "404", "409", "413", "429", "503"} <= codes


# What OpenAPI 3.0.3 allows, as far as a document of ours may use it.
REFERENCE: dict[str, Any] = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/components/"}},
    "additionalProperties": False,
}
ALTERNATIVES = {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/schema"}}
SIZES = [f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items", "Properties")]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"enum": ["string", "integer", "number", "boolean", "array", "object"]},
        "format": {"type": "string"},
        "enum": {"type": "array", "minItems": 1},
        "nullable": {"type": "boolean"},
        "pattern": {"type": "string", "format": "regex"},
        "default": {},
        "deprecated": {"type": "boolean"},
        "uniqueItems": {"type": "boolean"},
        "required": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "properties": {"type": "object", "additionalProperties": {"$ref": "#/definitions/schema"}},
        "additionalProperties": {"anyOf": [{"type": "boolean"}, {"$ref": "#/definitions/schema"}]},
        "items": {"$ref": "#/definitions/schema"},
        "not": {"$ref": "#/definitions/schema"},
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), ALTERNATIVES),
        **{name: {"type": "number"} for name in ("minimum", "maximum", "multipleOf")},
        **{name: {"type": "integer", "minimum": 0} for name in SIZES},
        "discriminator": {"type": "object", "required": ["propertyName"]},
    },
    "additionalProperties": False,
    # A list says of what.
    "if": {"properties": {"type": {"const": "array"}}, "required": ["type"]},
    "then": {"required": ["items"]},
}
PARAMETER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "in": {"enum": ["query", "header", "path"]},
        "required": {"type": "boolean"},
        "description": {"type": "string"},
        "style": {"const": "deepObject"},
        "explode": {"const": True},
        "schema": {"$ref": "#/definitions/schema"},
    },
    "additionalProperties": False,
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}
ONE_CONTENT: dict[str, Any] = {
    "type": "object",
    "required": ["schema"],
    "properties": {"schema": {"$ref": "#/definitions/schema"}},
    "additionalProperties": False,
}
CONTENT: dict[str, Any] = {
    "type": "object",
    "properties": {"application/json": ONE_CONTENT, "multipart/form-data": ONE_CONTENT},
    "additionalProperties": False,
}
RESPONSE: dict[str, Any] = {
    "type": "object",
    "required": ["description"],
    "properties": {
        "description": {"type": "string", "minLength": 1},
        "headers": {"type": "object", "additionalProperties": REFERENCE},
        "content": CONTENT,
    },
    "additionalProperties": False,
}
OPERATION: dict[str, Any] = {
    "type": "object",
    "required": ["operationId", "responses", "security", "summary", "tags"],
    "properties": {
        "operationId": {"type": "string", "pattern": "^[a-z_]+$"},
        "summary": {"type": "string", "minLength": 5},
        "tags": {"type": "array", "items": {"type": "string"}},
        "security": {"type": "array", "minItems": 1},
        "parameters": {"type": "array", "items": {"anyOf": [REFERENCE, PARAMETER]}},
        "requestBody": {
            "type": "object",
            "required": ["content"],
            "properties": {"required": {"type": "boolean"}, "content": CONTENT},
            "additionalProperties": False,
        },
        "responses": {
            "type": "object",
            "minProperties": 2,
            "patternProperties": {"^[2345][0-9][0-9]$": {"anyOf": [REFERENCE, RESPONSE]}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
NAMED = {"type": "object", "propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"}}
OPENAPI: dict[str, Any] = {
    "definitions": {"schema": {"anyOf": [REFERENCE, SCHEMA]}},
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "properties": {
        "openapi": {"const": "3.0.3"},
        "info": {"type": "object", "required": ["title", "version"]},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"enum": ["get", "post", "put", "delete", "patch"]},
                "additionalProperties": OPERATION,
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {**NAMED, "additionalProperties": {"$ref": "#/definitions/schema"}},
                "parameters": {**NAMED, "additionalProperties": PARAMETER},
                "responses": {**NAMED, "additionalProperties": RESPONSE},
                "headers": NAMED,
                "securitySchemes": NAMED,
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def test_the_document_is_openapi() -> None:
    document = openapi.document()
    errors = list(jsonschema.Draft7Validator(OPENAPI).iter_errors(document))
    told = [
        f"{'/'.join(map(str, one.absolute_path))}: {best_match([one]).message}" for one in errors
    ]
    assert not errors, "\n".join(one[:400] for one in told[:10])
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]
    schemes = document["components"]["securitySchemes"]
    for path, methods in document["paths"].items():
        for told_operation in methods.values():
            named = [one for one in told_operation["parameters"] if "name" in one]
            keys = [(one["name"], one["in"]) for one in named]
            assert len(set(keys)) == len(keys), path
            words = {name for name, place in keys if place == "path"}
            assert words == set(re.findall(r"\{(\w+)\}", path)), path
            assert all(set(one) <= set(schemes) for one in told_operation["security"])


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {one for value in node for one in references(value)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own | {one for value in node.values() for one in references(value)}


def test_the_query_is_documented_from_the_table_that_reads_it() -> None:
    paths = openapi.document()["paths"]
    for one in OPERATIONS:
        told = paths[one.path][one.method.lower()]["parameters"]
        names = {parameter["name"] for parameter in told if parameter.get("in") == "query"}
        wanted = set(one.query.parameters)
        if isinstance(one.query, Listing):
            wanted |= {"limit", "page", *one.query.dates}
            wanted |= {"order"} if one.query.orders else set()
            wanted |= {"filters"} if one.query.filters else set()
            wanted |= {"ids"} if one.query.ids else set()
            wanted |= {"starting_after_id"} if one.query.cursor else set()
        assert names == wanted, one.name
    campaigns = {told["name"]: told for told in paths["/v1/campaigns"]["get"]["parameters"][:-1]}
    assert "-updated_at" in campaigns["order"]["schema"]["enum"]
    status = campaigns["filters"]["schema"]["properties"]["status"]["properties"]["conditions"]
    assert set(status["properties"]) >= {"$active", "$expired"}
    assert paths["/v1/publications"]["post"]["parameters"][0]["name"] == "join_once"


def test_answers_and_headers_are_documented() -> None:
    document = openapi.document()
    for one in OPERATIONS:
        told = document["paths"][one.path][one.method.lower()]
        names = {parameter.get("$ref", "").rpartition("/")[2] for parameter in told["parameters"]}
        assert "Positions" in names, one.name
        assert ("IdempotencyKey" in names) == (one.method != "GET"), one.name
        done = {status for status in told["responses"] if status.startswith("2")}
        assert done == {str(status) for status in one.statuses}, one.name
        for status in done - {"204"}:
            schema = told["responses"][status]["content"]["application/json"]["schema"]
            assert schema, f"{one.name} {status} has a schema"
    assert done_of(
        document, "delete", "/management/v1/projects/{projectId}/webhooks/{webhookId}"
    ) == {"204"}
    assert done_of(document, "post", "/v1/campaigns/{campaignId}/vouchers") == {"200", "202"}
    vouchers = document["paths"]["/v1/vouchers"]["get"]["responses"]["200"]
    assert vouchers["content"]["application/json"]["schema"]["$ref"].endswith(
        "VouchersListResponseBody"
    )


def done_of(document: Any, method: str, path: str) -> set[str]:
    responses = document["paths"][path][method]["responses"]
    return {status for status in responses if status.startswith("2")}


@pytest.mark.integration
async def test_the_page_and_its_files_come_from_here(front: Front) -> None:
    page = await front.send("GET", "/docs")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(rb"https?://", page.content) == []
    for name in re.findall(rb'(?:href|src)="([^"]+)"', page.content):
        asset = await front.send("GET", name.decode())
        assert asset.status == 200
        assert len(asset.content) > 1000
    document = await front.send("GET", "/openapi.json")
    assert document.json["info"]["title"] == "Tessera"
