"""Which of a project's redeemables apply to a customer and an order, each by itself.

Behaviour: "Qualifications" and its eight scenarios; what we chose where it is silent is in
docs/qualification.md. A scenario that ignores some rules takes them to hold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from contracts import public
from contracts.engine import QualificationOptions, Scenario
from contracts.errors import JsonObject
from contracts.filters import matches
from engine.domain import item_rules, validity
from engine.domain.bundle import bundle_json
from engine.domain.definition import PROMOTION_TIER, Code, instant_text
from engine.domain.effects.unit import product_references
from engine.domain.facts import Facts
from engine.domain.order import Cart, Moment
from engine.domain.pricing import discount_effect
from engine.domain.redeemables import Candidate, Redeemable
from engine.domain.rules import CompiledRule, Leaf, bundle_of
from engine.domain.snapshot import PromotionStack, Snapshot
from engine.domain.stack import Run, Step, cart_of
from engine.domain.validate import step_json

OfferKind = Literal["voucher", "promotion_tier", "promotion_stack", "campaign"]


class Offer(NamedTuple):
    """Something that a customer may be offered without having named it."""

    object: OfferKind
    id: str
    """As answers name it: of a voucher, the code."""
    created_at: datetime
    parts: tuple[Code, ...]
    """What applies: one, or a promotion stack's tiers in their order."""
    campaign_type: str | None = None
    stack: PromotionStack | None = None
    is_held: bool = False
    """It was published to the customer who asks."""

    @property
    def code(self) -> Code:
        """What it is, or the stack's first tier."""
        return self.parts[0]


class _Way(NamedTuple):
    """How a scenario looks at redeemables."""

    judges: Callable[[str], bool]
    """Which rules, by name, must hold."""
    sees_order: bool = True
    relation: Literal["discount", "any"] | None = None
    """What of it must have to do with the order's products."""
    only: OfferKind | None = None
    only_held: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every rule counts: what qualifies can be redeemed."""
        return self.judges is _every


def _every(name: str) -> bool:
    del name
    return True


def _none(name: str) -> bool:
    del name
    return False


CUSTOMER_RULES = ("customer.", "publication.", "campaign.redemptions.customers_count")


def _of_customer(name: str) -> bool:
    return name.startswith(CUSTOMER_RULES) or ".per_customer" in name


WAYS: Mapping[Scenario, _Way] = {
    "ALL": _Way(_every),
    "CUSTOMER_WALLET": _Way(_every, only_held=True),
    "AUDIENCE_ONLY": _Way(_of_customer, sees_order=False),
    "PRODUCTS": _Way(_none, relation="any"),
    "PRODUCTS_DISCOUNT": _Way(_none, relation="discount"),
    "PROMOTION_STACKS": _Way(_every, only="promotion_stack"),
    "PRODUCTS_BY_CUSTOMER": _Way(_of_customer, relation="any"),
    "PRODUCTS_DISCOUNT_BY_CUSTOMER": _Way(_of_customer, relation="discount"),
}


def chosen(
    offers: Iterable[Offer], scenario: Scenario, options: QualificationOptions, now: datetime
) -> list[Offer]:
    """Return what the scenario and the filters let through, newest first; rules are not asked yet."""
    way = WAYS[scenario]
    found = [
        offer
        for offer in offers
        if (way.only is None or offer.object == way.only)
        and (offer.is_held or not way.only_held)
        and (options.starting_after is None or offer.created_at < options.starting_after)
        and (not options.filters or matches(options.filters, _filtered(offer), now))
        and all(validity.problem(part, now) is None for part in offer.parts)
    ]
    found.sort(key=lambda offer: (offer.created_at, offer.id), reverse=True)
    return found


def _filtered(offer: Offer) -> JsonObject:
    """Return an offer as filters see it (``contracts.filters.OFFER_ATTRIBUTES``)."""
    code = offer.code
    is_voucher = offer.object == "voucher"
    return {
        "category_id": code.definition.category_id,
        "campaign_id": code.campaign_id,
        "campaign_type": offer.campaign_type,
        "resource_id": [offer.id, code.id] if is_voucher else offer.id,
        "resource_type": offer.object,
        "voucher_type": code.definition.type if is_voucher else None,
        "code": code.code if is_voucher else None,
        "holder_role": "OWNER" if offer.is_held else None,
    }


class Worth(NamedTuple):
    """An offer that qualifies, and what it takes off the order, minor units."""

    offer: Offer
    taken: int


class Search:
    """One request's look through offers. Each is applied to the order as it was sent."""

    def __init__(self, snapshot: Snapshot, scenario: Scenario) -> None:
        self._way = WAYS[scenario]
        self._snapshot = snapshot
        self.cart = cart_of(snapshot)
        seen = self.cart if self._way.sees_order else None
        self._run = Run(snapshot, seen, has_exclusive=False, must_suffice=True)
        self._start = self._run.save()

    @property
    def order(self) -> JsonObject | None:
        """The order without any discount of this request."""
        if self.cart is None:
            return None
        return Moment(self.cart, self.cart.start, self.cart.start).to_json()

    @property
    def facts(self) -> Facts:
        """The request as rules see it."""
        return self._run.facts

    @property
    def product_ids(self) -> list[str]:
        """The products and SKUs of the order, as counters name them."""
        lines = self.cart.lines if self.cart is not None else ()
        names = (name for line in lines for name in (line.product_id, line.sku_id))
        return list(dict.fromkeys(name for name in names if name is not None))

    def worth(self, offer: Offer) -> Worth | None:
        """Return the offer if it qualifies; nothing is put into words."""
        self._run.is_trial = True
        steps = self._steps(offer)
        if steps is None:
            return None
        return Worth(offer, sum(step.taken for step in steps))

    def entry(self, offer: Offer, options: QualificationOptions) -> JsonObject | None:
        """Return the offer as the answer shows it, if it qualifies."""
        self._run.is_trial = False
        steps = self._steps(offer)
        if steps is None:
            return None
        snapshot = self._snapshot if "category" in options.expand else None
        parts = [self._shown(step, snapshot, options) for step in steps]
        if offer.stack is not None:
            return _stack_entry(offer, offer.stack, parts)
        shown = {**parts[0], "id": offer.id, "object": offer.object}
        if self._way.relation is not None and self.cart is not None:
            bundle = bundle_of(offer.code.rules, self.cart)
            if bundle is not None:
                shown["result"] = {
                    **shown["result"],
                    "bundle": bundle_json(bundle, self.cart.lines),
                }
        return {**shown, "created_at": instant_text(offer.created_at)}

    def _steps(self, offer: Offer) -> list[Step] | None:
        """Apply the offer to the order as it was sent; None when it does not qualify."""
        if self._way.relation is not None and not self._is_related(offer):
            return None
        self._run.restore(self._start)
        for place, part in enumerate(offer.parts):
            self._run.take(self._candidate(place, part, offer.stack))
        if self._run.is_valid:
            applied = [step for step in self._run.steps if step.priced is not None]
            is_idle = self._way.is_whole and all(map(self._is_idle, applied))
            return None if is_idle else applied
        is_unpriced = not self._way.is_whole and all(map(_is_unpriced, self._run.steps))
        return list(self._run.steps) if is_unpriced else None

    def _is_idle(self, step: Step) -> bool:
        """Say whether it is a discount on items of which the order has none: it applies, to no avail."""
        assert step.code is not None, "only codes that are there apply"
        is_on_items = discount_effect(step.code).startswith("APPLY_TO_ITEMS")
        is_priced = self.cart is not None and self.cart.is_priced
        return is_on_items and is_priced and not step.taken and step.priced is not None

    def _candidate(self, place: int, part: Code, stack: PromotionStack | None) -> Candidate:
        judges = self._way.judges
        code = part if self._way.is_whole else replace(part, rules=_loosened(part.rules, judges))
        kind = "promotion_tier" if code.is_tier else "voucher"
        redeemable = Redeemable(kind, code.code, None, {"object": kind, "id": code.code})
        return Candidate(place, redeemable, code, stack)

    def _shown(
        self, step: Step, snapshot: Snapshot | None, options: QualificationOptions
    ) -> JsonObject:
        if step.priced is not None:
            shown = step_json(step, snapshot)
        else:
            shown = {**step_json(step, snapshot), "result": self._unpriced(step.code)}
        left_out = {"status"} if "redeemable" in options.expand else {"status", "metadata"}
        return {
            name: value
            for name, value in shown.items()
            if name not in left_out and value is not None
        }

    def _unpriced(self, code: Code | None) -> JsonObject:
        """Return what a redeemable gives, where there is no order that it could be worked out for."""
        assert code is not None, "offers are there"
        if code.definition.type in {"DISCOUNT_VOUCHER", PROMOTION_TIER}:
            return {"discount": code.definition.discount}
        return {"gift": {"balance": self._run.balance(code)}}

    def _is_related(self, offer: Offer) -> bool:
        if self.cart is None:
            return False
        facts = self._run.facts
        return any(
            _discounts_products(part, self.cart, self._snapshot.project_id)
            or (self._way.relation == "any" and _requires_products(part, facts))
            for part in offer.parts
        )


def _loosened(
    rules: Sequence[CompiledRule], judges: Callable[[str], bool]
) -> tuple[CompiledRule, ...]:
    """Return the rules with those that are not judged taken to hold."""
    return tuple(_with_leaves(rule, judges) for rule in rules)


def _with_leaves(rule: CompiledRule, judges: Callable[[str], bool]) -> CompiledRule:
    judged = [judges(leaf.name) for leaf in rule.leaves]
    leaves = tuple(
        leaf if is_judged else leaf._replace(test=_holds, limit=None, after=None)
        for leaf, is_judged in zip(rule.leaves, judged, strict=True)
    )
    return rule._replace(
        leaves=leaves,
        limits=tuple(pair for pair in rule.limits if judged[pair[0]]),
        after=tuple(pair for pair in rule.after if judged[pair[0]]),
        bundle=None,
    )


def _holds(facts: Facts) -> None:
    del facts


_UNPRICED = frozenset(
    {"missing_amount", "missing_order", "missing_order_items", "missing_order_items_amount"}
)


def _is_unpriced(step: Step) -> bool:
    """Say whether nothing but the order stood in the way, which the scenario does not look at."""
    return step.priced is not None or (step.error is not None and step.error.key in _UNPRICED)


def _discounts_products(code: Code, cart: Cart, project_id: str) -> bool:
    """Say whether the discount is meant for some of the order's products, not just for anything."""
    scopes = [rule.applicability for rule in code.rules if rule.applicability is not None]
    named = [
        line
        for line in cart.lines
        if any(not scope.includes_all and scope.included.covers(line) for scope in scopes)
        and not any(scope.excluded.covers(line) for scope in scopes)
    ]
    if named:
        return True
    discount = code.definition.prepared
    given = {
        object_id
        for units in (discount.units if discount is not None else ())
        for object_id in product_references(project_id, units.unit_type)
        if object_id is not None
    }
    return any(line.product_id in given or line.sku_id in given for line in cart.lines)


def _requires_products(code: Code, facts: Facts) -> bool:
    """Say whether a rule asks for products, and the order has them."""
    assert facts.cart is not None, "only orders have products"
    if any(
        _names_products(leaf) and leaf.test(facts) is None
        for rule in code.rules
        for leaf in rule.leaves
    ):
        return True
    bundle = bundle_of(code.rules, facts.cart)
    return bundle is not None and bool(bundle_json(bundle, facts.cart.lines)["identified"])


def _names_products(leaf: Leaf) -> bool:
    return leaf.name in item_rules.ITEM_RULES and leaf.name != "order.items.none"


def _stack_entry(offer: Offer, stack: PromotionStack, parts: list[JsonObject]) -> JsonObject:
    """Return a promotion stack: the order is that after its last tier."""
    shown: JsonObject = {
        "id": offer.id,
        "object": offer.object,
        "name": stack.name,
        "campaign_id": stack.campaign_id,
        "campaign_name": offer.code.definition.campaign_name,
        "created_at": instant_text(offer.created_at),
        "result": {},
        "redeemables": parts,
    }
    if "order" in parts[-1]:
        shown["order"] = parts[-1]["order"]
    return shown


def page(
    entries: Sequence[JsonObject], options: QualificationOptions, offers: Sequence[Offer]
) -> JsonObject:
    """Return the page of the list. ``entries`` may be one more than are shown, which says that there are.

    Only what is listed by age can be gone on with: the cursor is the age of the last one shown.
    """
    shown = list(entries[: options.limit])
    has_more = len(entries) > options.limit
    listed = public.listing("data", shown, len(shown), has_more=has_more)
    if has_more and shown and options.sorting_rule == "DEFAULT":
        last = offers[len(shown) - 1].created_at.astimezone(UTC)
        listed["more_starting_after"] = last.isoformat(timespec="microseconds").replace(
            "+00:00", "Z"
        )
    return listed
