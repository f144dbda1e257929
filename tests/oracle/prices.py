"""What discounts take off a cart, predicted from behaviours §4 and §5, docs/rounding.md and docs/pricing.md.

Written without the engine's code and in another way: exact fractions, one unit at a time, no sharing. It
raises on what it was not taught. It knows carts of priced lines and stacks in PARTIAL mode: discounts of
every type and effect, each with one entry of ``applicable_to``, its application rule, its caps and two of its
counters, with a rule on the order's amount and a bundle; ONCE and STACK; both bases of percentages.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Json = dict[str, Any]


@dataclass
class Line:
    """One line; ``discount`` is what items discounts took of it."""

    product: str
    price: int
    quantity: int
    discount: int = 0
    discounted_units: int = 0
    """Units that a discount which counts units has made cheaper."""

    @property
    def amount(self) -> int:
        return self.price * self.quantity

    @property
    def left(self) -> int:
        return self.amount - self.discount


@dataclass
class Cart:
    """The order."""

    lines: list[Line]
    order_discount: int = 0
    catalogue: dict[str, int] = field(default_factory=dict)
    initial: int = 0
    """What the order came to when it was sent."""
    counted: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Units that counters have counted, by what they count for."""

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        return self.amount - self.order_discount - sum(line.discount for line in self.lines)


def half_up(value: Fraction) -> int:
    """Rounding, rule 1."""
    return math.floor(value + Fraction(1, 2))


def split(total: int, weights: list[int]) -> list[int]:
    """Rounding, rule 3: largest remainders, the earlier one first."""
    if sum(weights) == 0:
        return [0] * len(weights)
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    parts = [math.floor(one) for one in exact]
    while sum(parts) < total:
        gaps = [one - part for one, part in zip(exact, parts, strict=True)]
        parts[gaps.index(max(gaps))] += 1
    return parts


def fill(total: int, bounds: list[int], weights: list[int]) -> list[int]:
    """Rounding, rule 3: what a line cannot take goes to the others, by the same rule.

    Lines that are full come out, the fullest first, until the rest can be split among those that are left.
    """
    rest = min(total, sum(b for b, w in zip(bounds, weights, strict=True) if w))
    parts = [0] * len(bounds)
    open_lines = [n for n, weight in enumerate(weights) if weight]
    while open_lines:
        whole = sum(weights[n] for n in open_lines)
        over = [n for n in open_lines if Fraction(rest * weights[n], whole) > bounds[n]]
        if not over:
            for n, part in zip(
                open_lines, split(rest, [weights[n] for n in open_lines]), strict=True
            ):
                parts[n] = part
            return parts
        full = min(over, key=lambda n: (Fraction(bounds[n], weights[n]), n))
        parts[full] = bounds[full]
        rest -= bounds[full]
        open_lines.remove(full)
    return parts


def within(parts: list[int], limit: int | None) -> list[int]:
    """Rounding, rule 4: a limit over all lines is split by what each wanted."""
    return parts if limit is None or sum(parts) <= limit else split(limit, parts)


@dataclass
class Step:
    """One redeemable, and how the project stacks."""

    discount: Json
    entry: Json | None = None
    rule: tuple[str, int] | None = None
    """A number of the order, and what it must be more than."""
    bundle: dict[str, int] = field(default_factory=dict)
    """Units of each product that a bundle has."""
    bundles_max: int = 1
    campaign: str = ""
    """For which its counters count."""
    is_once: bool = False
    is_initial: bool = False


@dataclass
class Now:
    """What holds while one redeemable is applied."""

    step: Step
    times: int
    """Complete bundles: values and caps are multiplied by them."""
    closed: set[str]
    """Products that may not be discounted again."""

    def base(self, line: Line) -> int:
        return line.amount if self.step.is_initial else line.left


def apply(cart: Cart, step: Step) -> bool:
    """Apply a redeemable to the cart; say whether it applies."""
    if step.rule is not None:
        name, least = step.rule
        if {"order.amount": cart.total, "order.initial_amount": cart.initial}[name] <= least:
            return False
    times = 1
    if step.bundle:
        complete = [_units_there(cart, name) // number for name, number in step.bundle.items()]
        times = min(*complete, step.bundles_max)
        if times == 0:
            return False
    closed = {line.product for line in cart.lines if line.discount} if step.is_once else set()
    now, discount = Now(step, times, closed), step.discount
    kind, effect = discount["type"], discount["effect"]
    if effect == "APPLY_TO_ORDER":
        cart.order_discount += min(_of_order(cart, now), cart.total)
    elif effect == "REPLACE_ITEMS":
        _replace(cart, now)
    elif kind == "UNIT":
        for one in discount.get("units", [discount]):
            _add_units(cart, one, now)
    elif effect.startswith("APPLY_TO_ITEMS"):
        _of_items(cart, now)
    else:
        raise NotImplementedError(kind, effect)
    return True


def _units_there(cart: Cart, product: str) -> int:
    return sum(line.quantity for line in cart.lines if line.product == product)


EVERYTHING: Json = {"object": "products_collection", "id": "pc_a11pr0dUc75"}


def units_of(cart: Cart, now: Now) -> list[tuple[int, int]]:
    """Return (line, units) in the order of application: the application rule, then the caps on units."""
    entry = now.step.entry or EVERYTHING
    places = [
        n
        for n, line in enumerate(cart.lines)
        if _is_in(entry, line) and line.product not in now.closed
    ]
    effect = entry.get("effect", "APPLY_TO_EVERY")
    if effect != "APPLY_TO_EVERY":
        sign = 1 if effect.endswith("CHEAPEST") else -1
        places.sort(key=lambda n: (sign * cart.lines[n].price, cart.lines[n].left, n))
    only_one = effect in {"APPLY_TO_CHEAPEST", "APPLY_TO_MOST_EXPENSIVE"}
    skip, repeat = entry.get("skip_initially", 0), entry.get("repeat", 1)
    chosen: list[tuple[int, int]] = []
    if entry.get("target", "ITEM") == "UNIT":
        single = [n for n in places for _ in range(cart.lines[n].quantity)]
        taken = single[skip::repeat][:1] if only_one else single[skip::repeat]
        if only_one and len(single) <= skip:
            taken = []
        chosen = [(n, taken.count(n)) for n in dict.fromkeys(taken)]
    else:
        taken = places[skip::repeat][:1] if only_one else places[skip::repeat]
        chosen = [(n, cart.lines[n].quantity) for n in taken]
    return _under_unit_caps(cart, chosen, now)


def _is_in(entry: Json, line: Line) -> bool:
    return bool(entry["object"] == "products_collection" or entry["id"] == line.product)


COUNTERS = {
    "product_campaign_quantity_limit": False,
    "product_in_collection_campaign_quantity_limit": True,
}
"""Whether each product counts for itself."""


def _counters(now: Now, line: Line) -> dict[tuple[str, ...], int]:
    """Return what the entry counts the line's units for, and how many there may be."""
    entry = now.step.entry or EVERYTHING
    return {
        (now.step.campaign, entry["id"], *([line.product] if by_product else [])): entry[name]
        for name, by_product in COUNTERS.items()
        if name in entry
    }


def _under_unit_caps(cart: Cart, chosen: list[tuple[int, int]], now: Now) -> list[tuple[int, int]]:
    """Bundles multiply the caps, but for percentages; never what is counted over all redemptions."""
    entry = now.step.entry or EVERYTHING
    times = 1 if now.step.discount["type"] == "PERCENT" else now.times
    together = entry.get("aggregated_quantity_limit")
    left = None if together is None else together * times
    here: dict[tuple[str, ...], int] = {}
    found = []
    for place, units in chosen:
        allowed = units
        if "quantity_limit" in entry:
            allowed = min(allowed, entry["quantity_limit"] * times)
        if left is not None:
            allowed = min(allowed, left)
        for name, most in _counters(now, cart.lines[place]).items():
            counted = cart.counted.get(name, 0) + here.get(name, 0)
            allowed = min(allowed, max(0, most - counted))
        for name in _counters(now, cart.lines[place]):
            here[name] = here.get(name, 0) + allowed
        if left is not None:
            left -= allowed
        found.append((place, allowed))
    return found


def _of_order(cart: Cart, now: Now) -> int:
    discount = now.step.discount
    base = cart.amount if now.step.is_initial else cart.total
    if discount["type"] == "AMOUNT":
        return int(discount["amount_off"]) * now.times
    if discount["type"] == "FIXED":
        return max(0, base - int(discount["fixed_amount"]))
    taken = half_up(Fraction(base) * _percent(now) / 100)
    if "amount_limit" in discount:
        taken = min(taken, int(discount["amount_limit"]) * now.times)
    return taken


def _percent(now: Now) -> Fraction:
    return min(Fraction(str(now.step.discount["percent_off"])) * now.times, Fraction(100))


def _of_items(cart: Cart, now: Now) -> None:
    discount, entry = now.step.discount, now.step.entry or EVERYTHING
    chosen = sorted(one for one in units_of(cart, now) if one[1])
    bounds = [_share(cart.lines[n], units, cart.lines[n].left) for n, units in chosen]
    wanted = [
        min(one, bound) for one, bound in zip(_wanted(cart, now, chosen), bounds, strict=True)
    ]
    if "amount_limit" in entry:
        wanted = [min(one, entry["amount_limit"] * now.times) for one in wanted]
    for holder in (entry, discount):
        limit = holder.get("aggregated_amount_limit")
        wanted = within(wanted, None if limit is None else limit * now.times)
    for (place, units), part in zip(chosen, within(wanted, cart.total), strict=True):
        line = cart.lines[place]
        line.discount += part
        if part and _counts_units(now):
            line.discounted_units = min(line.quantity, line.discounted_units + units)
        for name in _counters(now, line) if part else ():
            cart.counted[name] = cart.counted.get(name, 0) + units


def _counts_units(now: Now) -> bool:
    """Say whether the discount is one of units, of which earlier ones are not replaced later."""
    discount, entry = now.step.discount, now.step.entry or EVERYTHING
    by_units = discount["type"] == "FIXED" or discount["effect"] == "APPLY_TO_ITEMS_BY_QUANTITY"
    caps = {"quantity_limit", "aggregated_quantity_limit", *COUNTERS}
    return by_units or entry.get("target") == "UNIT" or bool(caps & set(entry))


def _share(line: Line, units: int, amount: int) -> int:
    """Rounding, rule 4: the share of some units of a line, rounded down."""
    return amount if units >= line.quantity else amount * units // line.quantity


def _wanted(cart: Cart, now: Now, chosen: list[tuple[int, int]]) -> list[int]:
    discount, entry = now.step.discount, now.step.entry or EVERYTHING
    kind, effect = discount["type"], discount["effect"]
    lines = [(cart.lines[n], units) for n, units in chosen]
    bases = [_share(line, units, now.base(line)) for line, units in lines]
    bounds = [_share(line, units, line.left) for line, units in lines]
    if kind == "PERCENT":
        parts = [
            half_up(
                Fraction(now.base(line) * min(units, line.quantity), line.quantity)
                * _percent(now)
                / 100
            )
            for line, units in lines
        ]
        if "amount_limit" in discount:
            return [min(one, discount["amount_limit"] * now.times) for one in parts]
        return parts
    if kind == "FIXED":
        price = entry.get("price", discount["fixed_amount"])
        return [max(0, base - price * units) for (_, units), base in zip(lines, bases, strict=True)]
    off = discount["amount_off"]
    if effect == "APPLY_TO_ITEMS":
        is_unit = entry.get("target", "ITEM") == "UNIT"
        return [off * now.times * (units if is_unit else 1) for _, units in lines]
    if effect == "APPLY_TO_ITEMS_BY_QUANTITY":
        return [off * units for _, units in lines]
    if effect == "APPLY_TO_ITEMS_PROPORTIONALLY":
        return fill(off * now.times, bounds, bases)
    if effect == "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY":
        return fill(off * now.times, bounds, [units for _, units in lines])
    raise NotImplementedError(kind, effect)


# -- units --------------------------------------------------------------------------------------------


def _add_units(cart: Cart, units: Json, now: Now) -> None:
    product, off = units["unit_type"], units["unit_off"] * now.times
    effect = units["effect"]
    is_closed = product in now.closed
    there = [line for line in cart.lines if line.product == product and not is_closed]
    if effect == "ADD_NEW_ITEMS":
        if off and not is_closed:
            _free(cart, _grow(cart, product, off), off)
    elif effect == "ADD_MISSING_ITEMS":
        missing = off - sum(line.quantity for line in there)
        if missing > 0 and not is_closed:
            grown = _grow(cart, product, missing)
            there += [] if any(grown is line for line in there) else [grown]
        for line in there:
            taken = min(off, line.quantity)
            _free(cart, line, taken)
            off -= taken
    elif effect == "ADD_SAME_ITEMS":
        for line in there:
            if off and line.quantity:
                line.quantity += off
                _free(cart, line, off)
    else:
        raise NotImplementedError(effect)


def _grow(cart: Cart, product: str, units: int) -> Line:
    """Units join the first line of the product, else a new one at the catalogue's price."""
    found = [line for line in cart.lines if line.product == product]
    if not found:
        found = [Line(product, cart.catalogue.get(product, 0), 0)]
        cart.lines.append(found[0])
    found[0].quantity += units
    return found[0]


def _free(cart: Cart, line: Line, units: int) -> None:
    line.discount += min(line.price * units, line.left, max(0, cart.total))
    line.discounted_units = min(line.quantity, line.discounted_units + units)


def _replace(cart: Cart, now: Now) -> None:
    """Put units of another product in the place of those that no discount has made cheaper.

    What the new ones cost more is free. Where the order would then cost less than nothing, nothing happens.
    """
    product, per_unit = now.step.discount["unit_type"], now.step.discount["unit_off"]
    leaving: list[tuple[Line, int]] = []
    for place, units in sorted(units_of(cart, now)):
        line = cart.lines[place]
        affordable = line.left // line.price if line.price else units
        gone = min(units, line.quantity - line.discounted_units, affordable)
        if line.product != product and gone > 0:
            leaving.append((line, gone))
    arriving = sum(gone for _, gone in leaving) * per_unit
    if not arriving or product in now.closed:
        return
    known = [line.price for line in cart.lines if line.product == product]
    price = known[0] if known else cart.catalogue.get(product, 0)
    worth = sum(gone * line.price for line, gone in leaving)
    free = max(0, arriving * price - worth)
    left = cart.total - worth + arriving * price
    if left < 0:
        return
    for line, gone in leaving:
        line.quantity -= gone
    joined = _grow(cart, product, arriving)
    free = min(free, left)
    joined.discount += free
    if free:
        joined.discounted_units = min(joined.quantity, joined.discounted_units + arriving)
