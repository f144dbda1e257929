"""The entries of ``applicable_to``: which lines each names, and what it allows there.

Read once per version of a rule. What the caps and application rules do to prices is in
:mod:`engine.domain.effects`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine import limits
from engine.domain.formulas import Value, read_value
from engine.domain.order import Line
from engine.domain.products import ALL_PRODUCTS_ID, Products, products_of

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
    """By the names of ``LINE_CAPS``; those that are set."""
    counters: Mapping[str, Value] = {}
    """By the names of ``COUNTERS``; those that are set."""
    shown: JsonObject = {}

    @property
    def takes_all(self) -> bool:
        """Say whether the application rule leaves no line and no unit out."""
        is_every = self.effect == EVERY and not self.is_per_unit
        return is_every and self.skip_initially == 0 and self.repeat == 1

    @property
    def counts_units(self) -> bool:
        """Say whether units, not lines, are what the entry lets be discounted."""
        return self.is_per_unit or self.is_bounded

    @property
    def is_bounded(self) -> bool:
        """Say whether anything limits the units."""
        # Written out, because it is asked for every line.
        caps = self.caps
        return bool(self.counters) or (
            bool(caps) and ("quantity_limit" in caps or "aggregated_quantity_limit" in caps)
        )


EVERYTHING = Entry(
    "products_collection",
    ALL_PRODUCTS_ID,
    Products(frozenset(), frozenset(), frozenset({ALL_PRODUCTS_ID})),
    shown={"object": "products_collection", "id": ALL_PRODUCTS_ID, "effect": EVERY},
)
"""Stands where no entry names a line, but the rule includes it."""


class Index(NamedTuple):
    """The entries of one rule, found by what a line sells."""

    by_sku: Mapping[str, Entry]
    by_product: Mapping[str, Entry]
    in_collections: tuple[Entry, ...]

    def entry_of(self, line: Line) -> Entry | None:
        """Return the entry that counts: of those that name the line the narrowest, then the first."""
        found = self.by_sku.get(line.sku_id or "") or self.by_product.get(line.product_id or "")
        if found is not None:
            return found
        return next((one for one in self.in_collections if one.products.covers(line)), None)


def index_of(entries: Sequence[Entry]) -> Index:
    """Return the index of a rule's entries; the first of two that name the same counts."""
    by_sku: dict[str, Entry] = {}
    by_product: dict[str, Entry] = {}
    for entry in entries:
        for name in entry.products.sku_ids:
            by_sku.setdefault(name, entry)
        for name in entry.products.product_ids:
            by_product.setdefault(name, entry)
    collections = tuple(entry for entry in entries if entry.products.collection_ids)
    return Index(by_sku, by_product, collections)


def read_entry(project_id: str, sent: JsonObject) -> Entry:
    """Read an entry as it was saved; never raises: what is malformed is as if it were not there."""
    effect = sent.get("effect")
    return Entry(
        object=str(sent.get("object") or "product"),
        id=str(sent.get("id") or sent.get("source_id") or ""),
        products=products_of(project_id, [sent]),
        effect=effect if isinstance(effect, str) and effect in EFFECTS else EVERY,
        is_per_unit=sent.get("target") == "UNIT",
        skip_initially=_whole(sent.get("skip_initially")) or 0,
        repeat=max(1, _whole(sent.get("repeat")) or 1),
        price=read_value(sent, "price"),
        caps=_values(sent, LINE_CAPS),
        counters=_values(sent, COUNTERS),
        shown=_shown(sent),
    )


def _values(sent: JsonObject, names: tuple[str, ...]) -> Mapping[str, Value]:
    values = {name: read_value(sent, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = 0 <= value <= limits.AMOUNT_MAX and int(value) == value
    return int(value) if whole else None


_SHOWN = (
    "object", "id", "source_id", "product_id", "product_source_id", "price",
    "effect", "target", "skip_initially", "repeat",
    *LINE_CAPS, *(f"{name}_formula" for name in LINE_CAPS),
    *COUNTERS, *(f"{name}_formula" for name in COUNTERS),
)  # fmt: skip


def _shown(sent: JsonObject) -> JsonObject:
    """Return the entry as answers show it; ``price_formula`` has no place in their published shape."""
    shown = {name: sent[name] for name in _SHOWN if sent.get(name) is not None}
    return {"effect": EVERY, **shown}
