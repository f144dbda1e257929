"""Applying one code to the cart: what it takes off, and what the answer says it was."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain import effects
from engine.domain.applicable import EVERYTHING, Entry
from engine.domain.bundle import Bundle, bundle_json
from engine.domain.claims import Claim
from engine.domain.counters import Counters
from engine.domain.definition import Code, gift_effect
from engine.domain.discounts import OFF_FIELDS, Discount
from engine.domain.effects import WholeLines, unit
from engine.domain.effects import gift as gift_credits
from engine.domain.effects.targets import Budgets, Place, Target, select
from engine.domain.effects.work import Work, on_targets
from engine.domain.facts import Facts, Published
from engine.domain.formulas import Asked, Redeemed
from engine.domain.order import Cart, Line
from engine.domain.recipe import NO_DISCOUNT, Priced, Recipe, recipe_of, shown_discount
from engine.domain.redeemables import Redeemable
from engine.domain.refusals import Refusal, Refused
from engine.domain.rules import Applicability, CompiledRule, bundle_of, matching_lines


def discount_effect(code: Code) -> str:
    """Return the effect; without one, rules that name products make it an item discount."""
    return recipe_of(code).effect


def apply_discount(code: Code, recipe: Recipe, facts: Facts, counters: Counters) -> Priced:
    """Apply a discount code of any kind; without an order there is nothing to take from."""
    if not recipe.is_built:
        kind = f"Discount type {recipe.discount.type} with effect {recipe.effect} is not supported"
        raise _refused(code, "invalid_voucher", kind)
    cart = facts.cart
    if cart is None:
        asked = _asked(code, recipe, facts, counters, None)
        return Priced(recipe.shown or {"discount": _shown(recipe, asked, None)})
    if recipe.needs_lines and not cart.lines:
        raise _refused(code, "missing_order_items", "Order items are required")
    bundle = None if recipe.is_static else bundle_of(code.rules, cart)
    asked = _asked(code, recipe, facts, counters, bundle)
    result = recipe.shown or {"discount": _shown(recipe, asked, cart)}
    scale = 1
    if bundle is not None:
        result["bundle"] = bundle_json(bundle, cart.lines)
        scale = 1 if recipe.discount.counts_bundles else bundle.quantity
    work = _work(recipe, facts, cart, asked, scale)
    if recipe.on_order is not None:
        effects.take_from_order(work, recipe.on_order)
        return Priced(result)
    if not recipe.needs_lines:
        unit.apply(work)
        return Priced(result)
    units_scale = 1 if recipe.discount.type == "PERCENT" else scale
    targets = _targets(recipe, facts, Budgets(asked, units_scale, counters.left_of(asked)))
    on_targets(work, targets)
    claims: Sequence[Claim] = ()
    if recipe.on_lines is None:
        unit.apply(work)
    else:
        parts = effects.take_from_lines(work, recipe.on_lines, is_counting=recipe.is_counting)
        claims = counters.claims(
            [one for one, part in zip(work.targets, parts, strict=True) if part]
        )
    return Priced(result, claims=claims, included=partial(_included, recipe, targets))


def apply_to_whole_lines(code: Code, recipe: Recipe, facts: Facts, whole: WholeLines) -> Priced:
    """Apply a number to whole lines, which is what most discounts on items are."""
    cart, result = facts.cart, recipe.shown
    assert result is not None, "a number on lines is always shown as it was saved"
    if cart is None:
        return recipe.priced or Priced(result)
    state = cart.state
    if not state.left:
        raise _refused(code, "missing_order_items", "Order items are required")
    bases = state.units.amounts if facts.is_initial_base else state.left
    if not (recipe.names_lines or facts.closed_lines):
        effects.take_from_all_lines(cart, whole, bases)
        return recipe.priced or Priced(result)
    chosen = _chosen(recipe, facts)
    effects.take_from_whole_lines(cart, whole, bases, chosen.places)
    return recipe.priced or Priced(result, included=partial(_included_lines, recipe, chosen))


def _work(recipe: Recipe, facts: Facts, cart: Cart, asked: Asked, scale: int) -> Work:
    discount = recipe.discount
    return Work(cart, discount, asked, scale, facts.is_initial_base, facts.closed_lines)


def _asked(
    code: Code, recipe: Recipe, facts: Facts, counters: Counters, bundle: Bundle | None
) -> Asked:
    if recipe.is_static:
        return Asked(facts, NOT_ASKED)
    return Asked(facts, _redeemed(code, facts, counters, bundle))


NOT_ASKED = Redeemed()
NOT_PUBLISHED = Published()


def _redeemed(
    code: Code, facts: Facts, counters: Counters, bundle: Bundle | None = None
) -> Redeemed:
    """Return what formulas may ask about the code."""
    definition = code.definition
    published = facts.publications.get(code.id, NOT_PUBLISHED)
    return Redeemed(
        metadata=definition.metadata,
        quantity=definition.quantity,
        redeemed_quantity=counters.redeemed_quantity,
        start=definition.timeframe_start,
        end=min((end for _, end in definition.windows if end is not None), default=None),
        is_tier=code.is_tier,
        bundle_quantity=None if bundle is None else bundle.quantity,
        publish_count=None if code.is_tier else published.times,
        publication_metadata=published.metadata,
    )


class Chosen(NamedTuple):
    """The lines that a code may touch."""

    of: list[Line]
    """Among these."""
    recipe: Recipe
    places: list[int]
    by_entry: dict[int, tuple[Entry, list[Place]]]


def _chosen(recipe: Recipe, facts: Facts) -> Chosen:
    """Return the lines that a code may touch: looked for once, as long as there are no others."""
    assert facts.cart is not None, "only orders have lines"
    lines, key = facts.cart.lines, ("lines", id(recipe))
    # The recipe is kept with what was found, so that its id is its own.
    chosen: Chosen | None = facts.known.get(key)
    if chosen is None or chosen.of is not lines:
        places = matching_lines(recipe.rules, facts) if recipe.names_lines else range(len(lines))
        chosen = facts.known[key] = _grouped(recipe, lines, places)
    if not facts.closed_lines:
        return chosen
    return _grouped(recipe, lines, [n for n in chosen.places if n not in facts.closed_lines])


def _grouped(recipe: Recipe, lines: list[Line], places: Sequence[int]) -> Chosen:
    by_entry: dict[int, tuple[Entry, list[Place]]] = {}
    for place in places:
        entry = _entry_of(recipe.scopes, lines[place])
        by_entry.setdefault(id(entry), (entry, []))[1].append((place, lines[place]))
    return Chosen(lines, recipe, list(places), by_entry)


def _entry_of(scopes: Sequence[Applicability], line: Line) -> Entry:
    for scope in scopes:
        entry = scope.by_line.entry_of(line)
        if entry is not None:
            return entry
    return EVERYTHING


def _targets(recipe: Recipe, facts: Facts, budgets: Budgets) -> list[Target]:
    """Return what may be discounted, in the order of application."""
    return select(_chosen(recipe, facts).by_entry, budgets)


def _shown(recipe: Recipe, asked: Asked, cart: Cart | None) -> JsonObject:
    """Return the discount as the answer shows it: what a formula made of it in place of the fallback."""
    discount, effect = recipe.discount, recipe.effect
    shown, off = shown_discount(discount, effect), discount.off
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
    product_id, sku_id = unit.product_references(cart.facts.project_id, named)
    for kind, object_id, name in (("sku", sku_id, "sku"), ("product", product_id, "name")):
        found = cart.facts.catalogue.get(object_id or "")
        if found is not None and found.get(name):
            shown = {"id": object_id, "source_id": found.get("source_id"), "name": found[name]}
            return {**units, kind: {key: one for key, one in shown.items() if one is not None}}
    return units


def apply_gift(
    code: Code,
    recipe: Recipe,
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
    return _gift_on_items(code, recipe, redeemable, facts, balance, counters, must_suffice)


def _gift_on_items(
    code: Code,
    recipe: Recipe,
    redeemable: Redeemable,
    facts: Facts,
    balance: int,
    counters: Counters,
    must_suffice: bool,
) -> Priced:
    cart = facts.cart
    assert cart is not None, "checked above"
    asked = Asked(facts, _redeemed(code, facts, counters))
    targets = _targets(recipe, facts, Budgets(asked, 1, counters.left_of(asked)))
    if not any(target.line.amount for target in targets):
        raise _refused(
            code,
            "missing_order_items_amount",
            "At least one applicable order item with amount is required to redeem this GIFT_VOUCHER",
        )
    work = on_targets(Work(cart, NO_DISCOUNT, asked), targets)
    bounds = effects.bounded(work, work.bounds)
    payable = gift_credits.payable(cart.total, bounds)
    credit = _credit(code, redeemable.credits, payable, balance, must_suffice=must_suffice)
    parts = gift_credits.split(credit, bounds)
    cart.take_from_lines(effects.spread(parts, work.places, len(cart.lines)))
    return Priced(
        {"gift": {"credits": credit}},
        credit,
        redeemable.credits is None,
        included=partial(_included, recipe, targets),
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


def _included(recipe: Recipe, targets: Sequence[Target]) -> list[JsonObject]:
    """Return the entries with the lines and units that each of them had discounted."""
    by_entry: dict[int, list[Target]] = {}
    for target in targets:
        by_entry.setdefault(id(target.entry), []).append(target)
    if not recipe.scopes:
        return []
    entries = _shown_entries(recipe, by_entry)
    return [_with_places(entry, by_entry.get(id(entry), ())) for entry in entries]


def _included_lines(recipe: Recipe, chosen: Chosen) -> list[JsonObject]:
    """Return the entries with the lines that each of them had discounted, where those were whole."""
    shown = []
    for entry in _shown_entries(recipe, chosen.by_entry):
        _, places = chosen.by_entry.get(id(entry), (entry, []))
        shown.append({**entry.shown, "order_item_indices": [place for place, _ in places]})
    return shown


def _shown_entries(recipe: Recipe, found: Mapping[int, object]) -> Sequence[Entry]:
    """Return the entries of the rules, and that for everything else where lines were found under it."""
    has_others = id(EVERYTHING) in found or not recipe.entries
    return (*recipe.entries, EVERYTHING) if has_others else recipe.entries


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


def applicable_to(rules: tuple[CompiledRule, ...], priced: Priced) -> tuple[JsonObject, JsonObject]:
    """Return the lists ``applicable_to`` and ``inapplicable_to`` of an answer."""
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    if priced.included is None:
        included = [entry for scope in scopes for entry in scope.shown_included]
    else:
        included = priced.included()
    excluded = [entry for scope in scopes for entry in scope.shown_excluded]
    return listed(included), listed(excluded)


def listed(entries: list[JsonObject]) -> JsonObject:
    """Return a list in the public shape."""
    return {"object": "list", "data_ref": "data", "data": entries, "total": len(entries)}


def _refused(code: Code, key: str, details: str) -> Refused:
    return Refused(Refusal(key, details, resource_id=code.id, resource_type=code.object))
