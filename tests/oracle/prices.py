"""What discounts take off a cart, predicted from behaviours §4 and §5, docs/rounding.md and docs/pricing.md.

Written without the engine's code and in another way: exact fractions, one unit at a time, no sharing. It
raises on what it was not taught. It knows carts of priced lines, discounts of the types AMOUNT, PERCENT,
FIXED and UNIT with one entry of ``applicable_to``, its application rule and its caps.
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


def units_of(cart: Cart, entry: Json) -> list[tuple[int, int]]:
    """Return (line, units) in the order of application: the application rule, then the caps on units."""
    places = [n for n, line in enumerate(cart.lines) if _is_in(entry, line)]
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
        chosen = [(n, taken.count(n)) for n in dict.fromkeys(taken)]
    else:
        taken = places[skip::repeat][:1] if only_one else places[skip::repeat]
        chosen = [(n, cart.lines[n].quantity) for n in taken]
    return _under_unit_caps(chosen, entry)


def _is_in(entry: Json, line: Line) -> bool:
    return entry["object"] == "products_collection" or entry["id"] == line.product


def _under_unit_caps(chosen: list[tuple[int, int]], entry: Json) -> list[tuple[int, int]]:
    left = entry.get("aggregated_quantity_limit")
    found = []
    for place, units in chosen:
        allowed = min(units, entry.get("quantity_limit", units))
        if left is not None:
            allowed = min(allowed, left)
            left -= allowed
        found.append((place, allowed))
    return found


def apply(cart: Cart, discount: Json, entry: Json | None) -> None:
    """Apply one discount to the cart."""
    kind, effect = discount["type"], discount["effect"]
    if effect == "APPLY_TO_ORDER":
        cart.order_discount += min(_of_order(cart, discount), cart.total)
    elif kind == "UNIT":
        _units(cart, discount)
    elif effect.startswith("APPLY_TO_ITEMS"):
        _of_items(cart, discount, entry or {"object": "products_collection"})
    else:
        raise NotImplementedError(kind, effect)


def _of_order(cart: Cart, discount: Json) -> int:
    if discount["type"] == "AMOUNT":
        return int(discount["amount_off"])
    if discount["type"] == "FIXED":
        return max(0, cart.total - discount["fixed_amount"])
    taken = half_up(Fraction(cart.total) * Fraction(str(discount["percent_off"])) / 100)
    return min(taken, discount.get("amount_limit", taken))


def _of_items(cart: Cart, discount: Json, entry: Json) -> None:
    chosen = sorted(one for one in units_of(cart, entry) if one[1])
    bounds = [_share(cart.lines[n], units, cart.lines[n].left) for n, units in chosen]
    wanted = _wanted(cart, discount, entry, chosen, bounds)
    wanted = [min(one, bound) for one, bound in zip(wanted, bounds, strict=True)]
    if "amount_limit" in entry:
        wanted = [min(one, entry["amount_limit"]) for one in wanted]
    wanted = within(wanted, entry.get("aggregated_amount_limit"))
    wanted = within(wanted, discount.get("aggregated_amount_limit"))
    for (place, _), part in zip(chosen, within(wanted, cart.total), strict=True):
        cart.lines[place].discount += part


def _share(line: Line, units: int, amount: int) -> int:
    """Rounding, rule 4: the share of some units of a line, rounded down."""
    return amount if units >= line.quantity else amount * units // line.quantity


def _wanted(
    cart: Cart, discount: Json, entry: Json, chosen: list[tuple[int, int]], bounds: list[int]
) -> list[int]:
    kind, effect = discount["type"], discount["effect"]
    lines = [(cart.lines[n], units) for n, units in chosen]
    if kind == "PERCENT":
        percent = Fraction(str(discount["percent_off"]))
        parts = [
            half_up(Fraction(line.left * min(units, line.quantity), line.quantity) * percent / 100)
            for line, units in lines
        ]
        return [min(one, discount.get("amount_limit", one)) for one in parts]
    if kind == "FIXED":
        price = entry.get("price", discount["fixed_amount"])
        return [
            max(0, bound - price * units) for (_, units), bound in zip(lines, bounds, strict=True)
        ]
    off = discount["amount_off"]
    if effect == "APPLY_TO_ITEMS":
        is_unit = entry.get("target", "ITEM") == "UNIT"
        return [off * units if is_unit else off for _, units in lines]
    if effect == "APPLY_TO_ITEMS_BY_QUANTITY":
        return [off * units for _, units in lines]
    if effect == "APPLY_TO_ITEMS_PROPORTIONALLY":
        return fill(off, bounds, [_share(line, units, line.left) for line, units in lines])
    if effect == "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY":
        return fill(off, bounds, [units for _, units in lines])
    raise NotImplementedError(kind, effect)


def _units(cart: Cart, discount: Json) -> None:
    product, off, effect = discount["unit_type"], discount["unit_off"], discount["effect"]
    there = [line for line in cart.lines if line.product == product]
    if effect == "ADD_NEW_ITEMS":
        if off:
            _free(cart, _grow(cart, product, off), off)
    elif effect == "ADD_MISSING_ITEMS":
        missing = off - sum(line.quantity for line in there)
        if missing > 0:
            grown = _grow(cart, product, missing)
            there += [] if grown in there else [grown]
        for line in there:
            units = min(off, line.quantity)
            _free(cart, line, units)
            off -= units
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
