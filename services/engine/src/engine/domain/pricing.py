"""Applying one code to the cart: what it takes off, and what the answer says it was."""

from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain import effects
from engine.domain.definition import Code, gift_effect
from engine.domain.effects import gift as gift_credits
from engine.domain.facts import Facts
from engine.domain.order import Cart
from engine.domain.redeemables import Redeemable
from engine.domain.refusals import Refused, refusal
from engine.domain.rules import CompiledRule, matching_lines


class Priced(NamedTuple):
    """What applying a code does. ``credits`` are those that a gift card pays."""

    result: JsonObject
    credits: int | None = None
    is_adjustable: bool = False
    """The credits were our choice: as many as possible."""


def discount_effect(code: Code) -> str:
    """Return the effect; without one, rules that name products make it an item discount."""
    discount = code.definition.discount or {}
    named = discount.get("effect")
    if named:
        return str(named)
    has_products = any(rule.applicability is not None for rule in code.rules)
    return "APPLY_TO_ITEMS" if has_products else "APPLY_TO_ORDER"


def apply_discount(code: Code, facts: Facts) -> Priced:
    """Apply a discount code; without an order there is nothing to take from."""
    discount = code.definition.discount or {}
    effect = discount_effect(code)
    if not effects.is_built(str(discount.get("type")), effect):
        kind = f"Discount type {discount.get('type')} with effect {effect} is not supported"
        raise _refused(code, "invalid_voucher", kind)
    cart = facts.cart
    if cart is not None:
        _take(code, cart, discount, effect, facts)
    return Priced({"discount": {"is_dynamic": False, **discount, "effect": effect}})


def _take(code: Code, cart: Cart, discount: JsonObject, effect: str, facts: Facts) -> None:
    matching: list[int] = []
    if effects.is_on_lines(discount["type"], effect):
        if not cart.lines:
            raise _refused(code, "missing_order_items", "Order items are required")
        matching = open_lines(code, facts)
    taken = effects.take(cart, discount, effect, matching, is_initial_base=facts.is_initial_base)
    if taken.from_lines is not None:
        cart.take_from_lines(taken.from_lines)
    else:
        cart.take_from_order(taken.from_order)


def open_lines(code: Code, facts: Facts) -> list[int]:
    """Return the lines that an item discount may touch, without those that are closed to it."""
    matching = matching_lines(code.rules, facts)
    return [index for index in matching if index not in facts.closed_lines]


def apply_gift(
    code: Code, redeemable: Redeemable, facts: Facts, balance: int, *, must_suffice: bool
) -> Priced:
    """Pay with a gift card: what was asked, or as much as possible.

    ``balance`` is what the card has by our view; ``must_suffice`` refuses what is more than that
    (a plan does not: the ledger decides).
    """
    cart = facts.cart
    if cart is None or not cart.is_priced:
        raise _refused(code, "missing_amount", "Amount is required when redeeming a GIFT_VOUCHER")
    gift = code.definition.gift or {}
    is_on_lines = gift_effect(gift) == "APPLY_TO_ITEMS"
    matching = open_lines(code, facts) if is_on_lines else []
    subtotals = [cart.lines[index].subtotal for index in matching]
    if is_on_lines and not any(cart.lines[index].amount for index in matching):
        raise _refused(
            code,
            "missing_order_items_amount",
            "At least one applicable order item with amount is required to redeem this GIFT_VOUCHER",
        )
    payable = gift_credits.payable(cart.total, subtotals if is_on_lines else None)
    credit = _credit(code, redeemable.credits, payable, balance, must_suffice=must_suffice)
    if is_on_lines:
        cart.take_from_lines(effects.spread(cart, matching, gift_credits.split(credit, subtotals)))
    else:
        cart.take_from_order(credit)
    return Priced({"gift": {"credits": credit}}, credit, is_adjustable=redeemable.credits is None)


def _credit(
    code: Code, asked: int | None, payable: int, balance: int, *, must_suffice: bool
) -> int:
    if asked is None:
        if payable > 0 >= balance:
            raise _refused(code, "gift_amount_exceeded", code.code)
        return min(payable, balance)
    credit = min(asked, payable)
    if must_suffice and credit > balance:
        raise _refused(code, "gift_amount_exceeded", code.code)
    return credit


def applicable_to(rules: tuple[CompiledRule, ...]) -> tuple[JsonObject, JsonObject]:
    """Return the lists ``applicable_to`` and ``inapplicable_to`` of an answer."""
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    included = [entry for scope in scopes for entry in scope.shown_included]
    excluded = [entry for scope in scopes for entry in scope.shown_excluded]
    return listed(included), listed(excluded)


def listed(entries: list[JsonObject]) -> JsonObject:
    """Return a list in the public shape."""
    return {"object": "list", "data_ref": "data", "data": entries, "total": len(entries)}


def _refused(code: Code, key: str, details: str) -> Refused:
    return Refused(refusal(key, details, resource_id=code.id, resource_type=code.object))
