"""What applying a code takes, worked out once for its definition and the rules assigned to it.

A recipe says which effect it is and what that needs: most discounts are a number on whole lines, for which
neither formulas nor entries, counters or bundles have to be looked at. It is kept with the definition, so
that it is made once per version of either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.errors import JsonObject
from engine import limits
from engine.domain import effects
from engine.domain.applicable import Entry
from engine.domain.claims import Claim
from engine.domain.definition import PROMOTION_TIER, Code
from engine.domain.discounts import REPLACE, Discount, read_discount
from engine.domain.effects import LineEffect, OrderEffect, WholeLines
from engine.domain.formulas import OF_PUBLICATIONS, Value
from engine.domain.item_rules import Selects
from engine.domain.rules import Applicability, CompiledRule, Judge, judge_of

NO_DISCOUNT = read_discount({"type": "none"})


@dataclass(slots=True)
class Priced:
    """What applying a code does. ``credits`` are those that a gift card pays."""

    result: JsonObject
    credits: int | None = None
    is_adjustable: bool = False
    """The credits were our choice: as many as possible."""
    claims: Sequence[Claim] = ()
    """Units that caps across redemptions count."""
    included: Callable[[], list[JsonObject]] | None = None
    """Returns ``applicable_to`` with the lines that were discounted; None when nothing is on lines."""


@dataclass(slots=True)
class Recipe:
    """How a code is checked and applied; never changed."""

    rules: tuple[CompiledRule, ...]
    judges: tuple[Judge, ...]
    """The rules, as they are asked before anything is priced."""
    discount: Discount
    effect: str
    is_discount: bool
    is_built: bool
    on_order: OrderEffect | None
    on_lines: LineEffect | None
    """None too where units are added or replaced, which change the order themselves."""
    on_whole_lines: WholeLines | None
    """Where it is a number that is taken off whole lines: the discount made into one function."""
    needs_lines: bool
    is_counting: bool
    """The effect discounts units, and answers say how many."""
    scopes: tuple[Applicability, ...]
    """Of the rules that name products."""
    selects: tuple[Selects, ...]
    """Rules on items that say which lines discounts may touch."""
    entries: tuple[Entry, ...]
    names_lines: bool
    """Not every line is touched."""
    is_static: bool
    """No formula, counter or bundle is asked."""
    asks_publications: bool
    """A formula asks how often or with what metadata the code was published."""
    category_id: str | None
    quantity: int | None
    """How often the code may be used."""
    may_be_closed: bool
    """It has times, or its campaign is switched off."""
    has_limits: bool
    asks_after: bool
    """A rule looks at what pricing did."""
    shown: JsonObject | None
    """The result as answers show it, where it is always the same."""
    priced: Priced | None
    """What applying it does, where that is always the same: a number off lines that no rule names."""


def recipe_of(code: Code) -> Recipe:
    """Return the recipe of a code."""
    # The recipe keeps the rules, so that their id is theirs for as long as it is there.
    recipes, key = code.definition.recipes, id(code.rules)
    recipe: Recipe | None = recipes.get(key)
    if recipe is None:
        if len(recipes) >= limits.RECIPES_PER_DEFINITION_MAX:
            recipes.clear()
        recipe = recipes[key] = make_recipe(code)
    return recipe


def make_recipe(code: Code) -> Recipe:
    """Work the recipe out."""
    definition, rules = code.definition, code.rules
    discount = definition.prepared or NO_DISCOUNT
    scopes = tuple(rule.applicability for rule in rules if rule.applicability is not None)
    selects = tuple(leaf.discounts for rule in rules for leaf in rule.leaves if leaf.discounts)
    entries = tuple(entry for scope in scopes for entry in scope.entries)
    effect = discount.effect or ("APPLY_TO_ITEMS" if scopes else "APPLY_TO_ORDER")
    name = (discount.type, effect)
    is_static = not (
        discount.is_dynamic
        or any(rule.bundle is not None for rule in rules)
        or any(_asks(entry) for entry in entries)
    )
    is_simple = is_static and name in effects.WHOLE_LINES and all(map(_takes_whole_lines, entries))
    shown = None
    if is_static and discount.type != "UNIT":
        shown = {"discount": shown_discount(discount, effect)}
    return Recipe(
        rules=rules,
        judges=tuple(map(judge_of, rules)),
        discount=discount,
        effect=effect,
        is_discount=definition.type in {"DISCOUNT_VOUCHER", PROMOTION_TIER},
        is_built=effects.is_built(discount.type, effect),
        on_order=effects.ORDER_EFFECTS.get(name),
        on_lines=effects.LINE_EFFECTS.get(name),
        on_whole_lines=effects.of_whole_lines(name, discount) if is_simple else None,
        needs_lines=name in effects.LINE_EFFECTS or effect == REPLACE,
        is_counting=name in effects.COUNTING_EFFECTS,
        scopes=scopes,
        selects=selects,
        entries=entries,
        names_lines=bool(scopes or selects),
        is_static=is_static,
        asks_publications=any(
            value.formula is not None and value.formula.names & OF_PUBLICATIONS
            for value in _values(discount, entries)
        ),
        category_id=definition.category_id,
        quantity=definition.quantity,
        may_be_closed=bool(
            not definition.is_campaign_active
            or definition.windows
            or definition.days_of_week
            or definition.hours
            or definition.timeframe
        ),
        has_limits=any(rule.limits for rule in rules),
        asks_after=any(rule.after for rule in rules),
        shown=shown,
        priced=Priced(shown) if is_simple and shown is not None and not scopes else None,
    )


def _asks(entry: Entry) -> bool:
    """Say whether formulas or counters must be asked for an entry."""
    values = _values_of(entry)
    return bool(entry.counters) or any(value.formula is not None for value in values)


def _values(discount: Discount, entries: Sequence[Entry]) -> list[Value]:
    """Return every value that may be a formula."""
    own = [discount.off, *(units.off for units in discount.units)]
    return [*own, *(value for entry in entries for value in _values_of(entry))]


def _values_of(entry: Entry) -> list[Value]:
    prices = [entry.price] if entry.price is not None else []
    return [*prices, *entry.caps.values(), *entry.counters.values()]


def _takes_whole_lines(entry: Entry) -> bool:
    return entry.takes_all and entry.price is None and not (entry.caps or entry.counters)


def shown_discount(discount: Discount, effect: str) -> JsonObject:
    """Return the discount as answers show it, as long as no formula and no order changes it."""
    return {"is_dynamic": discount.is_dynamic, **discount.shown, "effect": effect}
