"""The AsyncAPI document: as checked in, without dangling references, true to the messages."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts import asyncapi, topics
from contracts.samples import message_types, sample

DOCUMENT = asyncapi.document()
TYPES = message_types()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    assert reference.startswith("#/"), reference
    node: Any = DOCUMENT
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def test_checked_in_file_is_current():
    stored = asyncapi.DOCUMENT.read_text(encoding="utf-8")
    assert stored == asyncapi.text(), "run python -m contracts.asyncapi"


def test_every_reference_resolves():
    found = set(references(DOCUMENT))
    assert len(found) > 150
    for reference in found:
        assert resolve(reference) is not None


def test_structure_is_that_of_asyncapi_3():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    for channel in DOCUMENT["channels"].values():
        assert set(channel) == {"address", "description", "messages"}
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in DOCUMENT["channels"]
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= set(server)
    for name in DOCUMENT["components"]["schemas"]:
        assert set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
        ), name


def test_channels_are_the_topics():
    assert sorted(DOCUMENT["channels"]) == sorted(topics.ALL)
    assert len(DOCUMENT["operations"]) == len(topics.ALL)


def test_every_message_is_on_exactly_one_channel():
    carried = [
        name
        for channel, body in DOCUMENT["channels"].items()
        if not channel.endswith(".dead-letters")
        for name in body["messages"]
    ]
    intake = [name for name, _ in asyncapi.INTAKE.values()]
    assert sorted(carried) == sorted([*TYPES, *intake])


@pytest.mark.parametrize("name", TYPES)
def test_sample_fits_the_payload_schema(name):
    validator(name).validate(json.loads(sample(TYPES[name]).to_json()))


@pytest.mark.parametrize(
    ("name", "element", "is_right"),
    [
        ("intake.order", {"source_id": "o", "items": [{"quantity": 1, "price": 5}]}, True),
        ("intake.order", {"source_id": "o", "items": [{"quantity": 0}]}, False),
        ("intake.order", {"source_id": "o", "customer": {"source_id": "anna"}}, True),
        ("intake.order", {"customer": {"source_id": "anna"}}, False),
        ("intake.product", {"source_id": "p", "price": -1}, False),
        ("intake.product", {"source_id": "p", "skus": [{"source_id": "s"}]}, True),
        ("intake.customer", {"source_id": "c", "address": None}, True),
        ("intake.custom-event", {"event": "e"}, False),
        ("intake.custom-event", {"event": "e", "customer": {"source_id": "c"}}, True),
    ],
)
def test_intake_schemas_tell_right_from_wrong(name, element, is_right):
    assert validator(name).is_valid(element) is is_right
