"""The AsyncAPI 3.0 document of all topics, made from the messages.

``python -m contracts.asyncapi [file]`` writes it; by default to docs/asyncapi/tessera.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from contracts import topics
from contracts.errors import JsonObject
from contracts.messages import Command, Event, Message, Reply, Request
from contracts.samples import message_types, sample

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "asyncapi" / "tessera.json"
SCHEMAS = "#/components/schemas/"

_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_MINOR = {"type": "integer", "minimum": 0, "description": "Minor units of the currency."}
_METADATA = {
    "type": "object",
    "description": "The merchant's own fields. Merged key by key; null removes a key.",
}
_SOURCE_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "What the upstream system calls it: sent again, it updates the same thing.",
}
_PROJECT = {
    "type": "string",
    "description": "The project, where neither header ce_project nor project names it.",
}
_DATE = {"type": ["string", "null"], "format": "date"}

CUSTOMER: JsonObject = {
    "type": "object",
    "required": ["source_id"],
    "properties": {
        "project_id": _PROJECT,
        "source_id": _SOURCE_ID,
        "name": _OPTIONAL_TEXT,
        "email": _OPTIONAL_TEXT,
        "phone": _OPTIONAL_TEXT,
        "birthdate": _DATE,
        "birthday": _DATE,
        "description": _OPTIONAL_TEXT,
        "address": {
            "type": ["object", "null"],
            "properties": dict.fromkeys(
                ("city", "state", "line_1", "line_2", "country", "postal_code"), _OPTIONAL_TEXT
            ),
        },
        "metadata": _METADATA,
    },
}
INLINE_CUSTOMER: JsonObject = {
    **CUSTOMER,
    "required": [],
    "description": "Created or updated on the way; named by source_id, or by the id of a known one.",
    "properties": {
        "id": _TEXT,
        **{name: one for name, one in CUSTOMER["properties"].items() if name != "project_id"},
    },
}
ORDER: JsonObject = {
    "type": "object",
    "required": ["source_id"],
    "properties": {
        "project_id": _PROJECT,
        "source_id": _SOURCE_ID,
        "status": {"enum": ["CREATED", "PAID", "CANCELED", "PROCESSING", "FULFILLED"]},
        "amount": {**_MINOR, "description": "Sum of the items where it is not sent."},
        "discount_amount": _MINOR,
        "items": {
            "type": "array",
            "maxItems": 500,
            "items": {
                "type": "object",
                "properties": {
                    "related_object": {"enum": ["product", "sku"]},
                    "source_id": {**_SOURCE_ID, "description": "Of the product or SKU."},
                    "product_id": _TEXT,
                    "sku_id": _TEXT,
                    "quantity": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                    "price": _MINOR,
                    "amount": _MINOR,
                    "discount_amount": _MINOR,
                    "product": {"type": "object"},
                    "sku": {"type": "object"},
                    "metadata": _METADATA,
                },
            },
        },
        "customer": {"$ref": f"{SCHEMAS}intake.inline-customer"},
        "referrer_id": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "metadata": _METADATA,
    },
}
SKU: JsonObject = {
    "type": "object",
    "required": ["source_id"],
    "properties": {
        "source_id": _SOURCE_ID,
        "sku": _OPTIONAL_TEXT,
        "price": _MINOR,
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "attributes": {"type": "object"},
        "image_url": {"type": ["string", "null"], "format": "uri"},
        "metadata": _METADATA,
    },
}
PRODUCT: JsonObject = {
    "type": "object",
    "required": ["source_id"],
    "properties": {
        "project_id": _PROJECT,
        "source_id": _SOURCE_ID,
        "name": _OPTIONAL_TEXT,
        "price": _MINOR,
        "attributes": {"type": "array", "items": _TEXT, "maxItems": 100},
        "image_url": {"type": ["string", "null"], "format": "uri"},
        "metadata": _METADATA,
        "skus": {"type": "array", "items": {"$ref": f"{SCHEMAS}intake.sku"}, "maxItems": 100},
    },
}
CUSTOM_EVENT: JsonObject = {
    "type": "object",
    "required": ["event", "customer"],
    "properties": {
        "project_id": _PROJECT,
        "id": {"type": "string", "description": "Upstream's own id of the event: taken once."},
        "event": {"type": "string", "minLength": 1, "maxLength": 300},
        "customer": {"$ref": f"{SCHEMAS}intake.inline-customer"},
        "metadata": _METADATA,
        "referral": {
            "type": ["object", "null"],
            "required": ["code"],
            "properties": {"code": _TEXT, "referrer_id": _TEXT},
        },
        "loyalty": {
            "type": ["object", "null"],
            "required": ["code"],
            "properties": {"code": _TEXT},
        },
    },
}
INTAKE: dict[str, tuple[str, JsonObject]] = {
    topics.INTAKE_PRODUCTS: ("intake.product", PRODUCT),
    topics.INTAKE_CUSTOMERS: ("intake.customer", CUSTOMER),
    topics.INTAKE_ORDERS: ("intake.order", ORDER),
    topics.INTAKE_CUSTOM_EVENTS: ("intake.custom-event", CUSTOM_EVENT),
}


def document() -> JsonObject:
    """Return the document."""
    types = message_types()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tessera",
            "version": "1.0.0",
            "description": "Every topic of Tessera and what is said on it. Bodies are JSON; everything"
            " about transport is in Kafka headers, CloudEvents 1.0 in binary mode.",
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka"}},
        "channels": {topic: _channel(topic, types) for topic in sorted(topics.ALL)},
        "operations": {_slug(topic): _operation(topic) for topic in sorted(topics.ALL)},
        "components": {
            "messages": {
                **{name: _message(name, message) for name, message in types.items()},
                **{name: _intake_message(name) for name, _ in INTAKE.values()},
                "dead-letter": _dead_letter(),
            },
            "schemas": {**_schemas(types), **_header_schemas()},
        },
    }


def topic_of(name: str, message: type[Message]) -> str:
    """Return the topic that carries a type."""
    owner = name.partition(".")[0]
    if issubclass(message, Reply):
        return topics.GATEWAY_REPLIES
    if issubclass(message, Request):
        return topics.ENGINE_REQUESTS
    if issubclass(message, Command):
        return topics.commands(owner)
    return topics.INTAKE_REJECTED if owner == "intake" else topics.events(owner)


def _channel(topic: str, types: dict[str, type[Message]]) -> JsonObject:
    if topic in INTAKE:
        carried = [INTAKE[topic][0]]
    elif topic.endswith(".dead-letters"):
        carried = ["dead-letter"]
    else:
        carried = [name for name, message in types.items() if topic_of(name, message) == topic]
    return {
        "address": topic,
        "description": _purpose(topic),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in carried},
    }


def _purpose(topic: str) -> str:
    owner, _, kind = topic.partition(".")
    if topic in INTAKE:
        return (
            "Upstream systems publish here: one object or a list of up to 1,000. The project is named"
            " by header ce_project or project. What cannot be taken is told on intake.rejected."
        )
    return {
        topics.INTAKE_REJECTED: "What could not be taken from the intake topics, and why.",
        topics.GATEWAY_REPLIES: "Answers; each gateway reads a partition of its own.",
        topics.ENGINE_REQUESTS: "Questions to the engine, which change nothing.",
    }.get(topic) or {
        "commands": f"What {owner} is asked to do.",
        "events": f"The log of {owner}, in order per stream; at least once.",
        "dead-letters": f"Records that {owner} could not handle, with the reason as a header.",
    }[kind]


def _operation(topic: str) -> JsonObject:
    """Return what Tessera does at the topic."""
    is_taken = topic in INTAKE or topic.endswith(".commands") or topic == topics.ENGINE_REQUESTS
    operation: JsonObject = {
        "action": "receive" if is_taken else "send",
        "channel": {"$ref": f"#/channels/{topic}"},
    }
    if topic.endswith(".commands") or topic == topics.ENGINE_REQUESTS:
        operation["reply"] = {
            "address": {"location": "$message.header#/ce_replyto"},
            "channel": {"$ref": f"#/channels/{topics.GATEWAY_REPLIES}"},
        }
    return operation


def _slug(topic: str) -> str:
    return topic.replace(".", "-")


def _message(name: str, message: type[Message]) -> JsonObject:
    kind = "event" if issubclass(message, Event) else "answer"
    kind = "command" if issubclass(message, (Command, Request)) else kind
    return {
        "name": name,
        "title": message.__name__,
        "summary": (message.__doc__ or message.__name__).strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": f"{SCHEMAS}headers.{kind}"},
        "payload": {"$ref": f"{SCHEMAS}{name}"},
        "examples": [{"payload": json.loads(sample(message).to_json())}],
    }


def _intake_message(name: str) -> JsonObject:
    return {
        "name": name,
        "title": name.partition(".")[2].replace("-", " ").capitalize(),
        "contentType": "application/json",
        "headers": {"$ref": f"{SCHEMAS}headers.intake"},
        "payload": {
            "oneOf": [
                {"$ref": f"{SCHEMAS}{name}"},
                {"type": "array", "items": {"$ref": f"{SCHEMAS}{name}"}, "maxItems": 1000},
            ]
        },
    }


def _dead_letter() -> JsonObject:
    return {
        "name": "dead-letter",
        "title": "Dead letter",
        "contentType": "application/octet-stream",
        "summary": "The record as it was, with the reason.",
        "headers": {"type": "object", "properties": {"reason": _TEXT}},
        "payload": {"type": "string", "format": "binary"},
    }


def _schemas(types: dict[str, type[Message]]) -> dict[str, Any]:
    """Return the schemas of all bodies, those of messages under the types' names."""
    pairs: list[Any] = [(message, "serialization") for message in types.values()]
    references, bundle = models_json_schema(pairs, ref_template=SCHEMAS + "{model}")
    schemas: dict[str, Any] = bundle["$defs"]
    text = json.dumps(schemas)
    for name, message in types.items():  # a message may stand inside another one
        reference = references[message, "serialization"]["$ref"]
        text = text.replace(f'"{reference}"', f'"{SCHEMAS}{name}"')
    schemas = json.loads(text)
    renamed = {}
    for name, message in types.items():
        reference = references[message, "serialization"]["$ref"].removeprefix(SCHEMAS)
        renamed[name] = schemas.pop(reference)
    renamed.update(schemas)
    renamed.update(dict(INTAKE.values()))
    renamed.update({"intake.inline-customer": INLINE_CUSTOMER, "intake.sku": SKU})
    return dict(sorted(renamed.items()))


def _header_schemas() -> dict[str, Any]:
    common = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _TEXT,
        "ce_type": {**_TEXT, "description": "With its version, as in customers.order-created.v1."},
        "ce_source": {**_TEXT, "description": "The service that says it."},
        "ce_time": {**_TEXT, "format": "date-time"},
        "ce_project": {**_TEXT, "description": "The project (tenant)."},
        "ce_subject": _TEXT,
        "ce_correlationid": {**_TEXT, "description": "The same over all hops of one request."},
        "ce_causationid": {**_TEXT, "description": "Id of the message that caused this one."},
    }
    required = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_project"]
    positions = {**_TEXT, "description": "service/partition/position, separated by commas."}
    event = {
        "ce_stream": {**_TEXT, "description": "<aggregate>-<id>"},
        "ce_streamversion": {**_TEXT, "description": "1, 2, 3 … within the stream."},
        "ce_position": {**_TEXT, "description": "Place in the service's log."},
        "ce_previousposition": {
            **_TEXT,
            "description": "Place of the event before it in the same partition; 0 before the first.",
        },
    }
    command = {
        "ce_replyto": {**_TEXT, "description": "Topic of the answer."},
        "ce_replypartition": _TEXT,
        "ce_idempotencykey": _TEXT,
        "ce_fingerprint": {**_TEXT, "description": "Hash of operation and body, beside the key."},
        "ce_after": positions,
    }
    intake = {
        "ce_project": {**_TEXT, "description": "The project; header project does as well."},
        "project": _TEXT,
        "ce_correlationid": _TEXT,
    }
    return {
        "headers.answer": {"type": "object", "required": required, "properties": common},
        "headers.command": {
            "type": "object",
            "required": required,
            "properties": {**common, **command},
        },
        "headers.event": {
            "type": "object",
            "required": [*required, "ce_stream", "ce_streamversion", "ce_position"],
            "properties": {**common, **event},
        },
        "headers.intake": {"type": "object", "properties": intake},
    }


def text() -> str:
    """Return the document as it is checked in."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text(), encoding="utf-8")
