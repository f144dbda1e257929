"""The entries of ``applicable_to``: which lines each names, and what it allows there.

Read once per version of a rule. What the caps and application rules do to prices is in
:mod:`engine.domain.effects`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine import limits
from engine.domain.products import Products, products_of

EVERY = "APPLY_TO_EVERY"
FROM_CHEAPEST = "APPLY_FROM_CHEAPEST"
TO_CHEAPEST = "APPLY_TO_CHEAPEST"
FROM_MOST_EXPENSIVE = "APPLY_FROM_MOST_EXPENSIVE"
TO_MOST_EXPENSIVE = "APPLY_TO_MOST_EXPENSIVE"
EFFECTS = frozenset({EVERY, FROM_CHEAPEST, TO_CHEAPEST, FROM_MOST_EXPENSIVE, TO_MOST_EXPENSIVE})

LINE_CAPS = (
    "quantity_limit",
    "aggregated_quantity_limit",
    "amount_limit",
    "aggregated_amount_limit",
)
"""Caps within one order; each may have a sibling ``<name>_formula``."""

COUNTERS = tuple(
    f"product_{scope}quantity_limit"
    for scope in (
        "campaign_",
        "customer_campaign_",
        "in_collection_campaign_",
        "in_collection_customer_campaign_",
        "promotion_tier_",
        "customer_promotion_tier_",
        "in_collection_promotion_tier_",
        "in_collection_customer_promotion_tier_",
    )
)
"""Caps over all redemptions; the ledger counts the units."""


class Value(NamedTuple):
    """A number, or the text of the formula that gives it; the number is then the fallback."""

    number: int | None
    formula: str | None = None


class Entry(NamedTuple):
    """One entry of ``applicable_to.included``."""

    object: str
    id: str
    products: Products
    effect: str = EVERY
    is_per_unit: bool = False
    """The application rule counts units, not lines."""
    skip_initially: int = 0
    repeat: int = 1
    price: Value | None = None
    """The new price of a FIXED discount."""
    caps: Mapping[str, Value] = {}
    """By the names of ``LINE_CAPS`` and ``COUNTERS``; those that are set."""
    shown: JsonObject = {}


def read_entry(project_id: str, sent: JsonObject) -> Entry:
    """Read an entry as it was saved; never raises: what is malformed is as if it were not there."""
    caps = {name: _value(sent, name) for name in (*LINE_CAPS, *COUNTERS)}
    effect = sent.get("effect")
    return Entry(
        object=str(sent.get("object") or "product"),
        id=str(sent.get("id") or sent.get("source_id") or ""),
        products=products_of(project_id, [sent]),
        effect=effect if isinstance(effect, str) and effect in EFFECTS else EVERY,
        is_per_unit=sent.get("target") == "UNIT",
        skip_initially=_whole(sent.get("skip_initially")) or 0,
        repeat=max(1, _whole(sent.get("repeat")) or 1),
        price=_value(sent, "price"),
        caps={name: value for name, value in caps.items() if value is not None},
        shown=_shown(sent),
    )


def _value(sent: JsonObject, name: str) -> Value | None:
    number, formula = _whole(sent.get(name)), sent.get(f"{name}_formula")
    text = formula if isinstance(formula, str) and formula else None
    return None if number is None and text is None else Value(number, text)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = 0 <= value <= limits.AMOUNT_MAX and int(value) == value
    return int(value) if whole else None


_SHOWN = (
    "object", "id", "source_id", "product_id", "product_source_id", "price", "price_formula",
    "effect", "target", "skip_initially", "repeat",
    *LINE_CAPS, *(f"{name}_formula" for name in LINE_CAPS),
    *COUNTERS, *(f"{name}_formula" for name in COUNTERS),
)  # fmt: skip


def _shown(sent: JsonObject) -> JsonObject:
    shown = {name: sent[name] for name in _SHOWN if sent.get(name) is not None}
    return {"effect": EVERY, **shown}
