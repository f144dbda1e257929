"""Where a rule may be used: ``context_type`` against the names in the rule and what it is assigned to."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from campaigns.domain.errors import broken_rule
from contracts.errors import JsonObject

_ITEM_EFFECTS = (
    "discount.apply_to_order",
    "discount.apply_to_items",
    "discount.apply_to_items_proportionally",
    "discount.apply_to_items_proportionally_by_quantity",
    "discount.apply_to_items_by_quantity",
    "discount.fixed.apply_to_items",
    "discount.percent.apply_to_items",
)
_GIFT_EFFECTS = ("gift.apply_to_order", "gift.apply_to_items")

TARGETS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "campaign.discount_coupons": ("campaign", ("DISCOUNT_COUPONS",), _ITEM_EFFECTS),
    "campaign.gift_vouchers": ("campaign", ("GIFT_VOUCHERS",), _GIFT_EFFECTS),
    "campaign.referral_program": ("campaign", ("REFERRAL_PROGRAM",), _ITEM_EFFECTS),
    "campaign.promotion": ("campaign", ("PROMOTION",), _ITEM_EFFECTS),
    "campaign.loyalty_program": ("campaign", ("LOYALTY_PROGRAM",), ()),
    "voucher.discount_voucher": ("voucher", ("DISCOUNT_VOUCHER",), _ITEM_EFFECTS),
    "voucher.gift_voucher": ("voucher", ("GIFT_VOUCHER",), _GIFT_EFFECTS),
    "voucher.loyalty_card": ("voucher", ("LOYALTY_CARD",), ()),
}
"""Contexts of incentives: what they are assigned to, its type, and the effects that may be named."""

EARNING = (
    "earning_rule.order.paid",
    "earning_rule.custom_event",
    "earning_rule.customer.segment.entered",
    "earning_rule.customer.tier.joined",
    "earning_rule.customer.tier.left",
    "earning_rule.customer.tier.upgraded",
    "earning_rule.customer.tier.downgraded",
    "earning_rule.customer.tier.prolonged",
)
DISTRIBUTIONS = (
    "distribution.custom_event",
    "distribution.order.paid",
    "distribution.order.created",
    "distribution.order.canceled",
    "distribution.order.updated",
)
CONTEXTS = frozenset(
    {
        "global",
        "reward_assignment.pay_with_points",
        *EARNING,
        *DISTRIBUTIONS,
        *TARGETS,
        *(f"{name}.{effect}" for name, (_, _, effects) in TARGETS.items() for effect in effects),
    }
)
EVENT_RULE = "custom_event.metadata"


def read_context(value: Any) -> str:
    """Return the context; ``global`` when none was sent."""
    if value is None or value == "":
        return "global"
    if not isinstance(value, str) or value not in CONTEXTS:
        raise broken_rule("context_type", "must be one of the contexts that the API lists")
    return value


def refuse_misfits(context_type: str, rules: JsonObject) -> None:
    """Refuse rules about what the context never has: an event, an order, a redemption."""
    is_event = context_type in {"earning_rule.custom_event", "distribution.custom_event"}
    is_redemption = context_type in {*TARGETS, "reward_assignment.pay_with_points"} or any(
        context_type.startswith(f"{name}.") for name in TARGETS
    )
    for path, name in _names("rules", rules):
        if name == EVENT_RULE and not (is_event or context_type == "global"):
            raise broken_rule(f"{path}.name", f"must not be {name} in the context {context_type}")
        is_of_redemption = name.startswith(("redemption.", "campaign.", "publication."))
        if is_of_redemption and not (is_redemption or context_type == "global"):
            raise broken_rule(f"{path}.name", f"must not be {name} in the context {context_type}")
        is_of_order = name.startswith(("order.", "product.", "sku."))
        if is_of_order and not (
            is_redemption or context_type == "global" or ".order." in context_type
        ):
            raise broken_rule(f"{path}.name", f"must not be {name} in the context {context_type}")


def refuse_event_rules(rules: JsonObject, prop: str = "") -> None:
    """Refuse rules about a custom event where redemptions are judged: they have none.

    ``prop`` is the property of the request that names the rule; without it, the rule's own is at fault.
    """
    for path, name in _names("rules", rules):
        if name == EVENT_RULE:
            raise broken_rule(
                prop or f"{path}.name", f"must not be about {name} for what is redeemed"
            )


def _names(path: str, rules: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield (path, name) of every rule, those inside others too."""
    todo = [(path, rules)]
    while todo:
        inside, group = todo.pop()
        for number, rule in group.items():
            if number != "logic":
                yield f"{inside}.{number}", rule["name"]
                todo.append((f"{inside}.{number}.rules", rule["rules"]))


class Target(NamedTuple):
    """What a rule is assigned to: a ``campaign``, a ``voucher`` or a ``promotion_tier``."""

    kind: str
    type: str
    definition: JsonObject | None
    """Has the ``discount`` or ``gift`` whose effect a context may name."""


def refuse_target(context_type: str, target: Target, prop: str = "context_type") -> None:
    """Refuse an assignment to what the context does not mean; ``prop`` is the property at fault."""
    if context_type == "global":
        return
    name = next((name for name in TARGETS if _is_in(context_type, name)), None)
    kind, types, _ = TARGETS.get(name or "", (None, (), ()))
    is_tier = target.kind == "promotion_tier" and name == "campaign.promotion"
    if not is_tier and (kind != target.kind or target.type not in types):
        raise broken_rule(prop, f"must not be for {context_type} on this {target.kind}")
    effect = context_type.removeprefix(f"{name}").removeprefix(".")
    if effect and not _has_effect(target.definition or {}, effect):
        raise broken_rule(prop, f"must not be for {context_type} on the {target.kind}'s effect")


def _is_in(context_type: str, name: str) -> bool:
    return context_type == name or context_type.startswith(f"{name}.")


def _has_effect(definition: JsonObject, effect: str) -> bool:
    """Say whether the definition's discount or gift has this effect; without one, any is right."""
    part, *kind, name = effect.split(".")
    discount = definition.get(part) or {}
    if kind and str(discount.get("type", "")).lower() != kind[0]:
        return False
    own = discount.get("effect")
    return own is None or str(own).lower() == name
