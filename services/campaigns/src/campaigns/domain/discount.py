"""A discount, read and checked when it is saved, so that the engine can apply what it gets.

Paths in refusals are those of the body: ``voucher.discount.units[0].unit_off``.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from campaigns import limits
from contracts import formulas
from contracts.errors import JsonObject
from contracts.payload import (
    Fields,
    Reader,
    join,
    json_object,
    list_of,
    one_of,
    optional,
    read,
    refuse,
    required,
    text,
    whole_number,
)

_AMOUNT = whole_number(1, limits.AMOUNT_MINOR_MAX)
_PRICE = whole_number(0, limits.AMOUNT_MINOR_MAX)
_UNITS = whole_number(1, limits.QUANTITY_MAX)
_UNITS_OR_NONE = whole_number(0, limits.QUANTITY_MAX)

ADD_MANY = "ADD_MANY_ITEMS"
ADD_SAME = "ADD_SAME_ITEMS"
ADD_MISSING = "ADD_MISSING_ITEMS"
UNITS_OF_MANY = (ADD_MISSING, "ADD_NEW_ITEMS")


def percent(path: str, value: Any) -> int | float:
    """Read a percentage: above 0, at most 100, with few decimals."""
    number = _percent_or_none(path, value)
    if number == 0:
        raise refuse(path, "must be above 0 and at most 100")
    return number


def _percent_or_none(path: str, value: Any) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise refuse(path, "must be a number")
    if not 0 <= value <= 100:  # noqa: PLR2004
        raise refuse(path, "must be above 0 and at most 100")
    if round(value, limits.PERCENT_DECIMALS_MAX) != value:
        raise refuse(path, f"must have at most {limits.PERCENT_DECIMALS_MAX} decimals")
    return int(value) if float(value).is_integer() else float(value)


class DiscountKind(NamedTuple):
    """What a type of discount takes."""

    off: str
    """The field that says how much; its ``_formula`` sibling may say it instead."""
    reader: Reader
    fallback: Reader
    """How the field is read beside a formula: it may then be zero."""
    effects: tuple[str, ...]
    fields: Fields = {}


_ON_ORDER_OR_ITEMS = ("APPLY_TO_ORDER", "APPLY_TO_ITEMS")
_LIMIT = optional(_AMOUNT)

KINDS: Mapping[str, DiscountKind] = {
    "AMOUNT": DiscountKind(
        "amount_off",
        _AMOUNT,
        _PRICE,
        (
            *_ON_ORDER_OR_ITEMS,
            "APPLY_TO_ITEMS_PROPORTIONALLY",
            "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY",
            "APPLY_TO_ITEMS_BY_QUANTITY",
        ),
        {"aggregated_amount_limit": _LIMIT},
    ),
    "PERCENT": DiscountKind(
        "percent_off",
        percent,
        _percent_or_none,
        _ON_ORDER_OR_ITEMS,
        {"amount_limit": _LIMIT, "aggregated_amount_limit": _LIMIT},
    ),
    "FIXED": DiscountKind("fixed_amount", _PRICE, _PRICE, _ON_ORDER_OR_ITEMS),
    "UNIT": DiscountKind(
        "unit_off",
        _UNITS,
        _UNITS_OR_NONE,
        (ADD_MISSING, "ADD_NEW_ITEMS", ADD_MANY, ADD_SAME, "REPLACE_ITEMS"),
    ),
}


def discount(path: str, value: Any) -> JsonObject:
    """Read a discount; fields that its type does not have are ignored."""
    body = json_object(path, value)
    kind = one_of(*KINDS)(join(path, "type"), body.get("type"))
    known = KINDS[kind]
    effect = optional(one_of(*known.effects))(join(path, "effect"), body.get("effect"))
    if kind == "UNIT":
        kept = _units(path, body, effect)
    else:
        kept = {**_off(path, body, known), **read(body, known.fields, path), "effect": effect}
    return {"type": kind, **{name: one for name, one in kept.items() if one is not None}}


def _off(path: str, body: JsonObject, kind: DiscountKind) -> JsonObject:
    """Read how much: a number, which is the fallback where there is a formula too."""
    name = f"{kind.off}_formula"
    formula = optional(formulas.reader)(join(path, name), body.get(name) or None)
    reader = kind.reader if formula is None else kind.fallback
    return {kind.off: required(reader, body, kind.off, path), name: formula}


def _units(path: str, body: JsonObject, effect: str | None) -> JsonObject:
    if effect is None:
        effect = ADD_MANY if body.get("units") else ADD_MISSING
    if effect == ADD_MANY:
        listed = list_of(_units_of_many, limits.UNITS_MAX)(join(path, "units"), body.get("units"))
        if not listed:
            raise refuse(join(path, "units"), "must have at least one element")
        return {"effect": effect, "units": listed}
    return {"effect": effect, **_one_unit(path, body, may_be_collection=effect == ADD_SAME)}


def _units_of_many(path: str, value: Any) -> JsonObject:
    body = json_object(path, value)
    effect = one_of(*UNITS_OF_MANY)(join(path, "effect"), body.get("effect"))
    return {"effect": effect, **_one_unit(path, body)}


def _one_unit(path: str, body: JsonObject, *, may_be_collection: bool = False) -> JsonObject:
    """Read how many units of what; one, when nothing says how many."""
    unit_type = required(text(limits.ID_LENGTH_MAX), body, "unit_type", path)
    if not unit_type:
        raise refuse(join(path, "unit_type"), "must be set")
    if unit_type.startswith("pc_") and not may_be_collection:
        raise refuse(join(path, "unit_type"), f"must be a product or a SKU, except with {ADD_SAME}")
    counted = {"unit_off": 1, **{name: one for name, one in body.items() if one is not None}}
    off = _off(path, counted, KINDS["UNIT"])
    return {**{name: one for name, one in off.items() if one is not None}, "unit_type": unit_type}
