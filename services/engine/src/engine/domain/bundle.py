"""Bundles: how many times the parts that a rule asks for are in the order together.

Every unit belongs to one part only: parts that name a SKU are filled first, then those that name a product,
then collections, each from the order's lines in turn.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine import limits
from engine.domain.conditions import BadConditionsError, names_of, number, only_values
from engine.domain.order import Line
from engine.domain.products import Products, products_of

AT_LEAST = ("$is", "$more_than_or_equal", "$more_than")


class Part(NamedTuple):
    """So many units of one product, SKU or collection."""

    object: str
    id: str
    products: Products
    quantity: int


class BundleRule(NamedTuple):
    """The parts, those filled first in front, and how many bundles count at most."""

    parts: tuple[Part, ...]
    limit: int

    @property
    def collection_ids(self) -> frozenset[str]:
        """The collections that parts name."""
        return frozenset[str]().union(*(part.products.collection_ids for part in self.parts))


class Found(NamedTuple):
    """Units of a line that fill a part."""

    place: int
    quantity: int


class Bundle(NamedTuple):
    """How many complete bundles an order has, the units in them, and what the next one lacks."""

    quantity: int
    limit: int
    identified: tuple[Found, ...]
    missing: tuple[tuple[Part, int], ...]
    """Only when there is no bundle: parts, and units that they lack."""


def count_bundles(rule: BundleRule, lines: Sequence[Line]) -> Bundle:
    """Count the complete bundles of an order."""
    low, high = 0, rule.limit
    while low < high:
        middle = (low + high + 1) // 2
        if _fill(rule, lines, middle)[1]:
            high = middle - 1
        else:
            low = middle
    found, missing = _fill(rule, lines, max(1, low))
    return Bundle(low, rule.limit, tuple(found), tuple(missing))


def _fill(
    rule: BundleRule, lines: Sequence[Line], bundles: int
) -> tuple[list[Found], list[tuple[Part, int]]]:
    """Take the units of so many bundles; return them, and what is missing."""
    left = [line.quantity for line in lines]
    taken = [0] * len(lines)
    missing = []
    for part in rule.parts:
        wanted = part.quantity * bundles
        for place, line in enumerate(lines):
            if wanted and left[place] and part.products.covers(line):
                units = min(wanted, left[place])
                left[place] -= units
                taken[place] += units
                wanted -= units
        if wanted:
            missing.append((part, wanted))
    return [Found(place, units) for place, units in enumerate(taken) if units], missing


def bundle_json(bundle: Bundle, lines: Sequence[Line]) -> JsonObject:
    """Return ``result.bundle`` of an answer."""
    identified = [
        {
            "id": lines[found.place].sku_id or lines[found.place].product_id,
            "object": "sku" if lines[found.place].sku_id else "product",
            "item_index": found.place,
            "item_quantity": found.quantity,
        }
        for found in bundle.identified
    ]
    missing = [
        {"id": part.id, "object": part.object, "item_quantity": units}
        for part, units in bundle.missing
    ]
    return {
        "quantity": bundle.quantity,
        "limit": bundle.limit,
        "identified": identified,
        "missing": missing,
    }


# -- reading ------------------------------------------------------------------------------------------

_FIRST = {"sku": 0, "product": 1, "products_collection": 2}


def read_bundle(project_id: str, sent: Any) -> BundleRule | None:
    """Return ``bundle_rules``, None when there are none; raises ``BadConditionsError``."""
    if not isinstance(sent, dict):
        return None
    parts = [_part(project_id, sent[name]) for name in sent if name not in {"logic", "limit"}]
    if not parts:
        return None
    if len(parts) > limits.RULES_MAX:
        raise BadConditionsError("must have fewer parts")
    limit = sent.get("limit")
    return BundleRule(
        parts=tuple(sorted(parts, key=lambda part: _FIRST[part.object])),
        limit=limit if isinstance(limit, int) and limit > 0 else 1,
    )


def _part(project_id: str, sent: Any) -> Part:
    if not isinstance(sent, dict):
        raise BadConditionsError("must be an object")
    _, values = only_values(sent.get("conditions"), ("$is",))
    entries = names_of(values)
    products = products_of(project_id, entries)
    for kind, ids in (
        ("sku", products.sku_ids),
        ("product", products.product_ids),
        ("products_collection", products.collection_ids),
    ):
        if len(entries) == 1 and ids:
            return Part(kind, next(iter(ids)), products, _quantity(sent.get("rules")))
    raise BadConditionsError("must name one product, SKU or collection")


def _quantity(rules: Any) -> int:
    """Return how many units the rule inside asks for; one without any."""
    if not rules:
        return 1
    inner = [rules[name] for name in rules if name != "logic"] if isinstance(rules, dict) else []
    if len(inner) != 1 or not isinstance(inner[0], dict):
        raise BadConditionsError("must have one rule inside")
    operator, values = only_values(inner[0].get("conditions"), AT_LEAST)
    least = number(values[0]) if len(values) == 1 else None
    if least is None or not 1 <= least <= limits.AMOUNT_MAX or least != int(least):
        raise BadConditionsError("must ask for a whole number of units")
    return int(least) + (operator == "$more_than")
