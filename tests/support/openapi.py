"""Checks answers against the published document, and by the official client's strict models."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from voucherify import models

import gateway.operations  # noqa: F401 - registers all operations
from gateway.http import OPERATIONS, Router

DOCUMENT = json.loads(gzip.decompress((Path(__file__).parent / "openapi.json.gz").read_bytes()))
ROUTER = Router(OPERATIONS)


def assert_valid(method: str, path: str, status: int, body: Any) -> None:
    """Check a 2xx body against ``openapi.json`` and by the client; our own operations' by their own."""
    path = path.partition("?")[0]
    operation, _ = ROUTER.find(method, path)
    key = f"{method} {operation.path} {status}"
    assert status in operation.statuses, f"{key} is not documented: tell `@operation`"
    if operation.shown is not None:
        errors = list(_own_validator(key).iter_errors(body))
        assert not errors, _told(method, path, body, errors)
    if key not in DOCUMENT["responses"]:
        return
    errors = sorted(_validator(key).iter_errors(body), key=lambda error: list(map(str, error.path)))
    errors = [error for error in errors if not _is_contradiction(error)]
    assert not errors, _told(method, path, body, errors)
    model = model_of(key)
    if model is not None and model.__name__ not in UNREADABLE and not _is_newer(body):
        assert model.from_dict(body) is not None, f"{model.__name__} cannot read {body}"


UNREADABLE = {"ProductCollectionsProductsListResponseBody"}
"""The client reads attributes of a SKU as a list here; the schema has an object, as everywhere."""


UNKNOWN_TO_THE_CLIENT = ('"REPLACE_ITEMS"', '"BEST_DEAL"', '"price_formula": "')
"""An effect and a sorting rule that its models do not list, and formulas that they take for numbers."""


def _is_newer(body: Any) -> bool:
    text = json.dumps(body)
    return any(word in text for word in UNKNOWN_TO_THE_CLIENT)


def _is_contradiction(error: Any) -> bool:
    """Whether the document contradicts itself, or lacks what is Tessera's own."""
    return all(map(_is_known, _leaves(error)))


def _is_known(leaf: Any) -> bool:
    """``bundle_rules``: the schema allows one property where it names three, and has no ``logic``.

    Conditions: text alone, and one, where the documentation has numbers and "any of". ``price_formula``: a
    number. Of our own is the sorting rule BEST_DEAL.
    """
    path = list(leaf.absolute_path)
    is_of_rules = path[:1] == ["bundle_rules"] or "conditions" in path
    return is_of_rules or path[-1:] == ["price_formula"] or leaf.instance == "BEST_DEAL"


def covered() -> set[str]:
    """Return the operations whose bodies can be checked."""
    return set(DOCUMENT["responses"])


def model_of(key: str) -> Any:
    """Return the official client's model of an answer, None where it has none."""
    name = str(DOCUMENT["responses"][key].get("$ref", "")).rpartition("/")[2]
    model = getattr(models, name, None)
    assert model is not None or key in WITHOUT_MODEL, (
        f"the client has no model {name or '(unnamed)'}: list {key} in WITHOUT_MODEL, or name it rightly"
    )
    return model


WITHOUT_MODEL = frozenset(
    {
        "GET /client/v1/validate 200",
        "GET /v1/segments 200",
        "POST /client/v1/publish 200",
        "POST /client/v1/redeem 200",
        "POST /v1/campaigns/{campaignId}/disable 200",
        "POST /v1/campaigns/{campaignId}/enable 200",
        "POST /v1/campaigns/{campaignId}/vouchers 202",
        "POST /v1/promotions/tiers/{promotionTierId}/redemption 200",
        "POST /v1/promotions/tiers/{promotionTierId}/validation 200",
        "POST /v1/promotions/validation 200",
        "POST /v1/vouchers/{code}/redemption 200",
        "POST /v1/vouchers/{code}/validate 200",
        "PUT /v1/product-collections/{productCollectionId} 200",
    }
)
"""Answers that the client cannot read, because it is older than the published document."""


@cache
def _own_validator(key: str) -> jsonschema.Draft7Validator:
    """Return what checks a body by the schema that stands with the operation."""
    [shown] = [one.shown for one in OPERATIONS if key.startswith(f"{one.name} ")]
    text = json.dumps(shown).replace("#/components/schemas/", "#/schemas/")
    schema = json.loads(text, object_hook=_with_null)
    return jsonschema.Draft7Validator({"allOf": [schema], "schemas": DOCUMENT["schemas"]})


def _with_null(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of OpenAPI 3.0 as JSON Schema."""
    return {"anyOf": [node, {"type": "null"}]} if node.pop("nullable", False) else node


@cache
def _validator(key: str) -> jsonschema.Draft7Validator:
    schema = {**DOCUMENT["responses"][key], "schemas": DOCUMENT["schemas"]}
    if "$ref" in schema:
        schema = {"allOf": [{"$ref": schema["$ref"]}], "schemas": DOCUMENT["schemas"]}
    return jsonschema.Draft7Validator(schema)


def _told(method: str, path: str, body: Any, errors: list[Any]) -> str:
    lines = []
    for leaf in [leaf for error in errors for leaf in _leaves(error)][:8]:
        place = ".".join(map(str, leaf.absolute_path))
        lines.append(f"  {place or '(body)'}: {leaf.message[:300]}")
    return (
        f"{method} {path} is not as openapi.json has it:\n"
        + "\n".join(lines)
        + f"\n{json.dumps(body)[:1500]}"
    )


def _leaves(error: Any) -> list[Any]:
    """Return what is wrong; of several alternatives, that of the one which fits best."""
    if not error.context:
        return [error]
    branches: dict[Any, list[Any]] = {}
    for one in error.context:
        branches.setdefault(one.schema_path[0], []).extend(_leaves(one))
    return min(branches.values(), key=_badness)


def _badness(errors: list[Any]) -> tuple[int, int]:
    """Rank an alternative: another kind of object is worse than any number of wrong fields."""
    is_other_kind = any(error.validator in {"enum", "const", "type"} for error in errors)
    return int(is_other_kind), len(errors)
