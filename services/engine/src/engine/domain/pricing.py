"""Applying one code to the cart: what it takes off, and what the answer says it was."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain import effects
from engine.domain.applicable import EVERYTHING, Entry
from engine.domain.bundle import Bundle, bundle_json
from engine.domain.claims import Claim
from engine.domain.counters import Counters
from engine.domain.definition import Code, gift_effect
from engine.domain.discounts import OFF_FIELDS, Discount, read_discount
from engine.domain.effects import gift as gift_credits
from engine.domain.effects.targets import Budgets, Target, select
from engine.domain.effects.unit import product_references
from engine.domain.effects.work import Work
from engine.domain.facts import Facts
from engine.domain.formulas import Asked, Redeemed
from engine.domain.order import Cart, Line
from engine.domain.redeemables import Redeemable
from engine.domain.refusals import Refused, refusal
from engine.domain.rules import CompiledRule, bundle_of, matching_lines


class Priced(NamedTuple):
    """What applying a code does. ``credits`` are those that a gift card pays."""

    result: JsonObject
    credits: int | None = None
    is_adjustable: bool = False
    """The credits were our choice: as many as possible."""
    claims: Sequence[Claim] = ()
    """Units that caps across redemptions count."""
    included: list[JsonObject] | None = None
    """``applicable_to`` with the lines that were discounted; None when nothing is on lines."""


def discount_effect(code: Code) -> str:
    """Return the effect; without one, rules that name products make it an item discount."""
    discount = code.definition.prepared
    if discount is not None and discount.effect is not None:
        return discount.effect
    has_products = any(rule.applicability is not None for rule in code.rules)
    return "APPLY_TO_ITEMS" if has_products else "APPLY_TO_ORDER"


def apply_discount(code: Code, facts: Facts, counters: Counters) -> Priced:
    """Apply a discount code; without an order there is nothing to take from."""
    discount = code.definition.prepared or _NO_DISCOUNT
    effect = discount_effect(code)
    if not effects.is_built(discount.type, effect):
        kind = f"Discount type {discount.type} with effect {effect} is not supported"
        raise _refused(code, "invalid_voucher", kind)
    cart = facts.cart
    if cart is None:
        asked = Asked(facts, _redeemed(code, counters))
        return Priced({"discount": _shown(discount, effect, asked, None)})
    bundle = bundle_of(code.rules, cart)
    asked = Asked(facts, _redeemed(code, counters, bundle))
    result: JsonObject = {"discount": _shown(discount, effect, asked, cart)}
    if bundle is not None:
        result["bundle"] = bundle_json(bundle, cart.lines)
    scale = 1 if bundle is None or discount.counts_bundles else bundle.quantity
    if not effects.needs_lines(discount.type, effect):
        effects.apply(
            Work(cart, discount, asked, (), scale, facts.is_initial_base, facts.closed_lines),
            effect,
        )
        return Priced(result)
    if not cart.lines:
        raise _refused(code, "missing_order_items", "Order items are required")
    targets = _targets(code, facts, asked, counters, 1 if discount.type == "PERCENT" else scale)
    in_order = sorted(targets, key=_place_of)
    work = Work(cart, discount, asked, in_order, scale, facts.is_initial_base, facts.closed_lines)
    taken = effects.apply(work, effect)
    return Priced(result, claims=counters.claims(taken), included=_included(code.rules, targets))


_NO_DISCOUNT = read_discount({"type": "none"})


def _place_of(target: Target) -> int:
    return target.place


def _redeemed(code: Code, counters: Counters, bundle: Bundle | None = None) -> Redeemed:
    """Return what formulas may ask about the code."""
    definition = code.definition
    return Redeemed(
        metadata=definition.metadata,
        quantity=definition.quantity,
        redeemed_quantity=counters.redeemed_quantity,
        start=definition.timeframe_start,
        end=min((end for _, end in definition.windows if end is not None), default=None),
        is_tier=code.is_tier,
        bundle_quantity=None if bundle is None else bundle.quantity,
    )


def _targets(
    code: Code, facts: Facts, asked: Asked, counters: Counters, scale: int = 1
) -> list[Target]:
    """Return what may be discounted, in the order of application."""
    assert facts.cart is not None, "only orders have lines"
    indices = [n for n in matching_lines(code.rules, facts) if n not in facts.closed_lines]
    grouped: dict[int, tuple[Entry, list[tuple[int, Line]]]] = {}
    for index in indices:
        line = facts.cart.lines[index]
        entry = _entry_of(code.rules, line)
        grouped.setdefault(id(entry), (entry, []))[1].append((index, line))
    return select(grouped, Budgets(asked, scale, counters.left_of(asked)))


def _entry_of(rules: Sequence[CompiledRule], line: Line) -> Entry:
    for rule in rules:
        if rule.applicability is not None:
            entry = rule.applicability.by_line.entry_of(line)
            if entry is not None:
                return entry
    return EVERYTHING


def _shown(discount: Discount, effect: str, asked: Asked, cart: Cart | None) -> JsonObject:
    """Return the discount as the answer shows it: what a formula made of it in place of the fallback."""
    shown = {"is_dynamic": discount.is_dynamic, **discount.shown, "effect": effect}
    off = discount.off
    if off.formula is not None and not off.is_per_line:
        shown[OFF_FIELDS[discount.type]] = _computed(discount, asked)
    if discount.type == "UNIT" and cart is not None:
        if effect == "ADD_MANY_ITEMS":
            units = [_with_product(one, cart) for one in discount.shown.get("units") or []]
            return {**shown, "units": units}
        return _with_product(shown, cart)
    return shown


def _computed(discount: Discount, asked: Asked) -> int | float:
    if discount.type == "PERCENT":
        percent = asked.percent(discount.off)
        return int(percent) if percent.denominator == 1 else float(percent)
    if discount.type == "UNIT":
        return asked.quantity(discount.off)
    return asked.amount(discount.off)


def _with_product(units: JsonObject, cart: Cart) -> JsonObject:
    """Show the product or SKU that units are of, if the catalogue has it."""
    named = str(units.get("unit_type"))
    product_id, sku_id = product_references(cart.facts.project_id, named)
    for kind, object_id, name in (("sku", sku_id, "sku"), ("product", product_id, "name")):
        found = cart.facts.catalogue.get(object_id or "")
        if found is not None and found.get(name):
            shown = {"id": object_id, "source_id": found.get("source_id"), "name": found[name]}
            return {**units, kind: {key: one for key, one in shown.items() if one is not None}}
    return units


def apply_gift(
    code: Code,
    redeemable: Redeemable,
    facts: Facts,
    balance: int,
    counters: Counters,
    *,
    must_suffice: bool,
) -> Priced:
    """Pay with a gift card: what was asked, or as much as possible.

    ``balance`` is what the card has by our view; ``must_suffice`` refuses what is more than that
    (a plan does not: the ledger decides).
    """
    cart = facts.cart
    if cart is None or not cart.is_priced:
        raise _refused(code, "missing_amount", "Amount is required when redeeming a GIFT_VOUCHER")
    if gift_effect(code.definition.gift or {}) != "APPLY_TO_ITEMS":
        payable = gift_credits.payable(cart.total, None)
        credit = _credit(code, redeemable.credits, payable, balance, must_suffice=must_suffice)
        cart.take_from_order(credit)
        return Priced({"gift": {"credits": credit}}, credit, redeemable.credits is None)
    return _gift_on_items(code, redeemable, facts, balance, counters, must_suffice)


def _gift_on_items(
    code: Code,
    redeemable: Redeemable,
    facts: Facts,
    balance: int,
    counters: Counters,
    must_suffice: bool,
) -> Priced:
    cart = facts.cart
    assert cart is not None, "checked above"
    asked = Asked(facts, _redeemed(code, counters))
    targets = _targets(code, facts, asked, counters)
    if not any(target.line.amount for target in targets):
        raise _refused(
            code,
            "missing_order_items_amount",
            "At least one applicable order item with amount is required to redeem this GIFT_VOUCHER",
        )
    work = Work(cart, _NO_DISCOUNT, asked, sorted(targets, key=_place_of))
    bounds = effects.bounded(work, [work.bound_of(target) for target in work.targets])
    payable = gift_credits.payable(cart.total, bounds)
    credit = _credit(code, redeemable.credits, payable, balance, must_suffice=must_suffice)
    parts = gift_credits.split(credit, bounds)
    for target, part in zip(work.targets, parts, strict=True):
        if part:
            cart.take_from_line(target.place, part)
    return Priced(
        {"gift": {"credits": credit}},
        credit,
        redeemable.credits is None,
        included=_included(code.rules, targets),
    )


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


# -- what is shown ------------------------------------------------------------------------------------


def _included(rules: Sequence[CompiledRule], targets: Sequence[Target]) -> list[JsonObject]:
    """Return the entries with the lines and units that each of them had discounted."""
    by_entry: dict[int, list[Target]] = {}
    for target in targets:
        by_entry.setdefault(id(target.entry), []).append(target)
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    entries = [entry for scope in scopes for entry in scope.entries]
    if id(EVERYTHING) in by_entry or not entries:
        entries.append(EVERYTHING)
    if not scopes:
        return []
    return [_with_places(entry, by_entry.get(id(entry), ())) for entry in entries]


def _with_places(entry: Entry, targets: Sequence[Target]) -> JsonObject:
    shown = {**entry.shown, "order_item_indices": [target.place for target in targets]}
    if entry.is_per_unit:
        shown["order_item_units"] = [_units_json(target) for target in targets]
    return shown


def _units_json(target: Target) -> JsonObject:
    """Units are numbered from 1; in orders of very many units only the lines are named."""
    if target.numbers is None:
        return {"index": target.place, "units_limit_exceeded": True}
    return {"index": target.place, "units": list(target.numbers), "units_limit_exceeded": False}


def applicable_to(
    rules: tuple[CompiledRule, ...], included: list[JsonObject] | None = None
) -> tuple[JsonObject, JsonObject]:
    """Return the lists ``applicable_to`` and ``inapplicable_to`` of an answer.

    ``included`` are the entries with the lines that were discounted, where lines were.
    """
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    if included is None:
        included = [entry for scope in scopes for entry in scope.shown_included]
    excluded = [entry for scope in scopes for entry in scope.shown_excluded]
    return listed(included), listed(excluded)


def listed(entries: list[JsonObject]) -> JsonObject:
    """Return a list in the public shape."""
    return {"object": "list", "data_ref": "data", "data": entries, "total": len(entries)}


def _refused(code: Code, key: str, details: str) -> Refused:
    return Refused(refusal(key, details, resource_id=code.id, resource_type=code.object))
