"""What a voucher is: discount, gift, uses, period. JSON bodies in, checked definitions out.

Used for a campaign's template, for a standalone code, and for the copy that a campaign's voucher gets
when it is changed by itself.
"""

from collections.abc import Mapping
from typing import Any

from campaigns import limits
from campaigns.domain.codes import code_config
from campaigns.domain.discount import discount
from campaigns.domain.errors import InvalidVoucher, unsupported
from campaigns.domain.periods import PERIOD_FIELDS, check_period
from campaigns.domain.support import VOUCHER_TYPES
from contracts.campaigns import VoucherDefinition
from contracts.errors import JsonObject
from contracts.payload import (
    Fields,
    join,
    json_object,
    merge_metadata,
    metadata,
    one_of,
    optional,
    read,
    refuse,
    text,
    whole_number,
)

ALL_VOUCHER_TYPES = ("DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD")


def gift(path: str, value: Any) -> JsonObject:
    """Read a gift card's credits; ``balance`` is the ledger's to say."""
    body = json_object(path, value)
    if body.get("amount") is None:
        raise refuse(join(path, "amount"), "must be set")
    amount = whole_number(0, limits.AMOUNT_MINOR_MAX)(join(path, "amount"), body["amount"])
    effects = optional(one_of("APPLY_TO_ORDER", "APPLY_TO_ITEMS"))
    effect = effects(join(path, "effect"), body.get("effect"))
    return {"amount": amount, "effect": effect or "APPLY_TO_ORDER"}


def redemption(path: str, value: Any) -> JsonObject:
    """Read ``{"quantity"}``: how often a code may be used, null for without limit."""
    quantity = optional(whole_number(1, limits.REDEMPTIONS_MAX))
    body = json_object(path, value)
    return {"quantity": quantity(join(path, "quantity"), body.get("quantity"))}


def boolean(path: str, value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise refuse(path, "must be true or false")
    return value


CATEGORY_FIELDS: Fields = {"category_id": optional(text(limits.ID_LENGTH_MAX))}
"""The handler has looked the category up, and put its id in the place of its name."""

COMMON_FIELDS: Fields = {
    **PERIOD_FIELDS,
    **CATEGORY_FIELDS,
    "discount": optional(discount),
    "additional_info": optional(text(limits.ADDITIONAL_INFO_LENGTH_MAX)),
    "metadata": metadata,
}
"""What may be set when a voucher is made and changed later."""

NEW_FIELDS: Fields = {
    **COMMON_FIELDS,
    "gift": optional(gift),
    "redemption": optional(redemption),
    "code_config": optional(code_config),
    "is_referral_code": optional(boolean),
}

PARTS: Mapping[str, str] = {"DISCOUNT_VOUCHER": "discount", "GIFT_VOUCHER": "gift"}
"""The part that each type of voucher needs; the others must be absent."""


def read_definition(body: JsonObject, path: str = "") -> VoucherDefinition:
    """Return the definition of a new voucher or template."""
    kind = _voucher_type(body, path)
    values = read(body, NEW_FIELDS, path)
    part = PARTS[kind]
    if values.get(part) is None:
        raise refuse(join(path, part), f"must be set, because type is {kind}")
    for other in PARTS.values():
        if other != part and values.get(other) is not None:
            raise refuse(join(path, other), f"must not be set, because type is {kind}")
    check_period(values, path)
    if values.get("redemption") is None:
        values["redemption"] = {"quantity": None}
    values["is_referral_code"] = bool(values.get("is_referral_code"))
    return VoucherDefinition(type=kind, **values)


def _voucher_type(body: JsonObject, path: str) -> str:
    given = body.get("type")
    if given is None:
        # The public API's own clients leave it out where a discount or gift says it.
        given = next((kind for kind, part in PARTS.items() if body.get(part) is not None), None)
    if given is None:
        raise refuse(join(path, "type"), "must be set")
    kind: str = one_of(*ALL_VOUCHER_TYPES)(join(path, "type"), given)
    if kind not in VOUCHER_TYPES:
        raise unsupported(join(path, "type"), kind)
    return kind


def change_definition(
    current: VoucherDefinition, changes: JsonObject, fields: Fields = COMMON_FIELDS
) -> VoucherDefinition:
    """Return the definition with the changes; fields that a change cannot touch are ignored."""
    values = read(changes, fields)
    if "metadata" in values:
        values["metadata"] = merge_metadata(current.metadata, values["metadata"])
    if "redemption" in values and values["redemption"] is None:
        values["redemption"] = {"quantity": None}
    _check_part("discount", current.discount, values)
    _check_part("gift", current.gift, values)
    changed = current.model_copy(update=values)
    check_period(dict(changed))
    return changed


def _check_part(name: str, current: JsonObject | None, values: JsonObject) -> None:
    if name not in values:
        return
    new = values[name]
    if new is None and current is None:
        return
    if new is None:
        raise refuse(name, "must not be null")
    if current is None or current.get("type") != new.get("type"):
        message = f"It is not possible to change Voucher {name} type"
        raise InvalidVoucher(message, prop=f"{name}.type")


OVERRIDE_FIELDS: Fields = {
    **COMMON_FIELDS,
    "gift": optional(gift),
    "redemption": optional(redemption),
}
"""What one call that adds codes may set otherwise than the campaign's template."""


def override(template: VoucherDefinition, overrides: JsonObject) -> VoucherDefinition | None:
    """Return the definition of codes that differ from the template; None if they do not."""
    changed = change_definition(template, overrides, OVERRIDE_FIELDS)
    changed = changed.model_copy(update={"code_config": None})
    same = template.model_copy(update={"code_config": None})
    return None if changed == same else changed
