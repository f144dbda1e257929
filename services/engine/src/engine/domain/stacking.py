"""Which redeemables of a stack are tried at all, and in which order: limits, categories, exclusion.

Behaviour: "Stacking". The project's stacking rules are laid over the defaults of ``contracts.stacking``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contracts.errors import JsonObject
from contracts.stacking import BEST_DEAL, JOINT_ALWAYS_LAST
from engine.domain.definition import Code
from engine.domain.order import Cart
from engine.domain.redeemables import Candidate

EXCLUSIVE, JOINT, COMMON = "EXCLUSIVE", "JOINT", "COMMON"
HIERARCHY_WITHOUT_CATEGORY = 1


def kind_of(category_id: str | None, rules: JsonObject) -> str:
    """Return how a category stacks."""
    if category_id in rules["exclusive_categories"]:
        return EXCLUSIVE
    return JOINT if category_id in rules["joint_categories"] else COMMON


def kind_of_code(code: Code | None, rules: JsonObject) -> str:
    """Return how a redeemable stacks; one that is unknown is common."""
    return COMMON if code is None else kind_of(code.definition.category_id, rules)


class Counts(NamedTuple):
    """What was applied so far."""

    applied: int
    exclusive: int
    by_category: dict[str, int]
    exclusive_by_category: dict[str, int]


@dataclass(slots=True)
class Way:
    """How the redeemables of one category stack, by the project's rules."""

    category: str | None
    kind: str
    limit: int | None
    exclusive_limit: int | None
    skips_without_effect: bool
    """What takes nothing off is skipped."""
    is_initial_base: bool
    """Percentages are of the initial amount."""


def _way(category: str | None, rules: JsonObject) -> Way:
    """Read the rules for a category. What has none is in none: only what is for all applies to it."""
    by_category = rules["applicable_redeemables_category_limits"] or {}
    limit = by_category.get(category, rules["applicable_redeemables_per_category_limit"])
    exclusive_limit = rules["applicable_exclusive_redeemables_per_category_limit"]
    skips = rules["redeemables_no_effect_rule"] == "SKIP"
    is_initial = rules["discount_calculation_mode"] == "INITIAL_AMOUNT"
    if category is None:
        return Way(None, kind_of(None, rules), None, None, skips, is_initial)
    if category in rules["no_effect_skip_categories"]:
        skips = True
    elif category in rules["no_effect_redeem_anyway_categories"]:
        skips = False
    others = "discounted_amount_mode_categories" if is_initial else "initial_amount_mode_categories"
    is_initial = is_initial is not (category in rules[others])
    # An empty name is no category to count exclusive ones by.
    exclusive_limit = exclusive_limit if category else None
    return Way(category, kind_of(category, rules), limit, exclusive_limit, skips, is_initial)


class _Ways(dict[str | None, Way]):
    """The ways of the categories that are met, each worked out once."""

    def __init__(self, rules: JsonObject) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, category: str | None) -> Way:
        way = self[category] = _way(category, self._rules)
        return way


class Admission:
    """Admits redeemables one after the other; counts those that were applied."""

    def __init__(self, rules: JsonObject, *, has_exclusive: bool) -> None:
        self.ways = _Ways(rules)
        self.has_exclusive = has_exclusive
        """Whether common redeemables give way to exclusive ones."""
        self.limit: int = rules["applicable_redeemables_limit"]
        self.exclusive_limit: int = rules["applicable_exclusive_redeemables_limit"]
        self.applied = 0
        self.applied_exclusive = 0
        self.by_category: Counter[str] = Counter()
        self.exclusive_by_category: Counter[str] = Counter()

    def save(self) -> Counts:
        """Return the counts so far, for :meth:`restore`."""
        return Counts(
            self.applied,
            self.applied_exclusive,
            dict(self.by_category),
            dict(self.exclusive_by_category),
        )

    def restore(self, saved: Counts) -> None:
        """Go back to the counts."""
        self.applied, self.applied_exclusive = saved.applied, saved.exclusive
        self.by_category = Counter(saved.by_category)
        self.exclusive_by_category = Counter(saved.exclusive_by_category)

    def reason_to_skip(self, way: Way) -> str | None:
        """Return the key under which a redeemable is skipped, None when it may be tried."""
        if way.kind == COMMON and self.has_exclusive:
            return "exclusion_rules_not_met"
        if self.applied >= self.limit:
            return "applicable_redeemables_limit_exceeded"
        if way.kind == EXCLUSIVE:
            if self.applied_exclusive >= self.exclusive_limit:
                return "applicable_exclusive_redeemables_limit_exceeded"
            limit = way.exclusive_limit
            if limit is not None and self.exclusive_by_category[way.category or ""] >= limit:
                return "applicable_exclusive_redeemables_per_category_limit_exceeded"
        if way.limit is not None and self.by_category[way.category or ""] >= way.limit:
            return "applicable_redeemables_per_category_limit_exceeded"
        return None

    def count(self, way: Way) -> None:
        """Count a redeemable that was applied."""
        self.applied += 1
        if way.category is not None:
            self.by_category[way.category] += 1
        if way.kind == EXCLUSIVE:
            self.applied_exclusive += 1
            if way.category is not None:
                self.exclusive_by_category[way.category] += 1


def is_once(rules: JsonObject) -> bool:
    """Say whether each product is discounted by one redeemable only."""
    return bool(rules["redeemables_products_application_mode"] == "ONCE")


def closed_lines(cart: Cart | None) -> frozenset[int]:
    """Return the lines that are not discounted again in ONCE: those of products that already were.

    A line's product is its SKU where it names one; a line that names neither stands for itself.
    """
    if cart is None:
        return frozenset()
    keys = [line.sku_id or line.product_id or index for index, line in enumerate(cart.lines)]
    taken = {keys[place] for place, amount in enumerate(cart.taken_by_request) if amount}
    return frozenset(index for index, key in enumerate(keys) if key in taken)


# -- the order of application -----------------------------------------------------------------------


def sorted_groups(
    candidates: Sequence[Candidate], rules: JsonObject, categories: Mapping[str, JsonObject]
) -> list[list[Candidate]]:
    """Return the redeemables in the order of application; a later group never comes before an earlier.

    A promotion stack's tiers keep their own order. BEST_DEAL begins with the requested order.
    """
    if any(candidate.stack is not None for candidate in candidates):
        return [list(candidates)]
    ordered = list(candidates)
    if rules["redeemables_sorting_rule"] == "CATEGORY_HIERARCHY":
        ordered.sort(key=lambda one: hierarchy_of(one.code, categories))
    if rules["grouped_redeemables_sorting_rule"] != JOINT_ALWAYS_LAST:
        return [ordered]
    joint = [one for one in ordered if kind_of_code(one.code, rules) == JOINT]
    others = [one for one in ordered if kind_of_code(one.code, rules) != JOINT]
    return [group for group in (others, joint) if group]


def hierarchy_of(code: Code | None, categories: Mapping[str, JsonObject]) -> int:
    """Return the place of a redeemable's category: lower comes first."""
    category = categories.get((code.definition.category_id or "") if code is not None else "")
    return HIERARCHY_WITHOUT_CATEGORY if category is None else int(category["hierarchy"])


def seeks_best_deal(candidates: Sequence[Candidate], rules: JsonObject) -> bool:
    """Say whether the order of application is to be found."""
    is_asked = rules["redeemables_sorting_rule"] == BEST_DEAL
    return is_asked and all(candidate.stack is None for candidate in candidates)


def shown_rules(rules: JsonObject, search: str | None) -> JsonObject:
    """Return the stacking rules as answers to shops show them.

    The public API's clients know two sorting rules only, so that BEST_DEAL is shown as the requested
    order, with ``best_deal_search`` beside it: EXACT or BOUNDED.
    """
    shown = {name: value for name, value in rules.items() if value is not None or name in _NULLABLE}
    if rules["redeemables_sorting_rule"] == BEST_DEAL:
        shown["redeemables_sorting_rule"] = "REQUESTED_ORDER"
        shown["best_deal_search"] = search or "EXACT"
    return shown


_NULLABLE = {
    "applicable_redeemables_per_category_limit",
    "applicable_exclusive_redeemables_per_category_limit",
}
