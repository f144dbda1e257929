"""Discounts as they were saved, read once per version into what effects need.

What an effect does with them is in :mod:`engine.domain.effects`.
"""

from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain.formulas import Value, read_value

OFF_FIELDS = {
    "AMOUNT": "amount_off",
    "PERCENT": "percent_off",
    "FIXED": "fixed_amount",
    "UNIT": "unit_off",
}
"""The field that says how much, by type."""

ADD_MISSING, ADD_NEW, ADD_MANY = "ADD_MISSING_ITEMS", "ADD_NEW_ITEMS", "ADD_MANY_ITEMS"
ADD_SAME, REPLACE = "ADD_SAME_ITEMS", "REPLACE_ITEMS"
UNIT_EFFECTS = frozenset({ADD_MISSING, ADD_NEW, ADD_MANY, ADD_SAME, REPLACE})

_NONE = Value(None)


class Units(NamedTuple):
    """Units of one product, SKU or collection that a UNIT discount gives."""

    effect: str
    unit_type: str
    off: Value


class Discount(NamedTuple):
    """A discount, ready to be applied."""

    type: str
    effect: str | None
    """None when none was named: the rules decide."""
    off: Value
    amount_limit: int | None
    aggregated_amount_limit: int | None
    units: tuple[Units, ...]
    shown: JsonObject

    @property
    def is_dynamic(self) -> bool:
        """Say whether a formula decides how much it is."""
        return any(value.formula is not None for value in (self.off, *(u.off for u in self.units)))

    @property
    def counts_bundles(self) -> bool:
        """Say whether a formula multiplies by the bundles itself."""
        values = (self.off, *(units.off for units in self.units))
        return any(one.formula and "ORDER.BUNDLE.QUANTITY" in one.formula.names for one in values)


def read_discount(sent: JsonObject) -> Discount:
    """Read a discount as it was saved; never raises."""
    kind, effect = str(sent.get("type")), sent.get("effect")
    if kind == "UNIT":
        effect = effect or (ADD_MANY if sent.get("units") else ADD_MISSING)
    off = read_value(sent, OFF_FIELDS.get(kind, "")) or _NONE
    return Discount(
        type=kind,
        effect=str(effect) if effect else None,
        off=off,
        amount_limit=_limit(sent, "amount_limit"),
        aggregated_amount_limit=_limit(sent, "aggregated_amount_limit"),
        units=_units(sent, str(effect)) if kind == "UNIT" else (),
        shown=sent,
    )


def _limit(sent: JsonObject, name: str) -> int | None:
    limit = sent.get(name)
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    return int(limit) if is_number and limit is not None else None


def _units(sent: JsonObject, effect: str) -> tuple[Units, ...]:
    listed = sent.get("units") if effect == ADD_MANY else [{**sent, "effect": effect}]
    return tuple(
        Units(
            str(one.get("effect") or ADD_MISSING),
            str(one.get("unit_type")),
            read_value(one, "unit_off") or _NONE,
        )
        for one in listed or []
        if isinstance(one, dict) and one.get("unit_type")
    )
