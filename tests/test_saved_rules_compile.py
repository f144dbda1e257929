"""What campaigns save the engine can ask: every name and operator of one is one of the other.

The only place where both services' rules meet; each alone could forget a name.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from campaigns.domain.rule import INNER_KINDS, RULE_KINDS, RuleKind, decide_create_rule
from engine.domain.item_rules import ITEM_RULES
from engine.domain.limit_rules import COUNTING_RULES
from engine.domain.rules import compile_rule

NOW = datetime(2026, 3, 11, tzinfo=UTC)
PUBLISHED = [
    "customer.segment", "customer.metadata", "publication.redeemable_by_linked_customer",
    "order.amount", "order.initial_amount", "order.total_amount", "order.items.count",
    "order.items.price_any", "order.items.price_each", "order.metadata", "order.items.metadata_any",
    "order.items.metadata_each", "order.items.any", "order.items.every", "order.items.none",
    "order.items.cheapest", "order.items.most_expensive", "product.id", "product.price",
    "product.quantity", "product.discount_applicable", "product.metadata",
    "product.metadata.aggregated_quantity", "product.metadata.aggregated_amount",
    "product.metadata.discount_applicable", "product.metadata.match_all", "sku.id", "sku.price",
    "sku.quantity", "sku.discount_applicable", "campaign.orders.amount",
    "campaign.orders.amount_discounted", "campaign.redemptions.count",
    "campaign.redemptions.count.daily", "campaign.redemptions.count.weekly",
    "campaign.redemptions.count.monthly", "campaign.redemptions.customers_count",
    "campaign.redemptions.customers_count.daily", "campaign.redemptions.customers_count.weekly",
    "campaign.redemptions.customers_count.monthly", "redemption.count.daily",
    "redemption.count.weekly", "redemption.count.monthly", "redemption.count.per_customer",
    "redemption.count.per_customer.daily", "redemption.count.per_customer.weekly",
    "redemption.count.per_customer.monthly", "redemption.gift.amount",
    "redemption.reward.pay_with_points.points_used", "redemption.api_key",
    "redemption.count.per_api_key", "redemption.user.login", "redemption.count.per_user",
    "redemption.metadata", "custom_event.metadata",
]  # fmt: skip
"""The names of behaviours.md, chapter 13."""

VALUES: dict[str, Any] = {
    "$timeframe": "2026-03-01T10:00:00Z;P2D;PT1H",
    "$timeframe_absolute": "2026-03-01T10:00:00Z;2026-03-02T10:00:00Z",
    "$timeframe_daily_hours": "18:00;20:01;2,3",
    "$dow": 3,
    "$after": "2026-03-01T10:00:00Z",
    "$before": "2026-03-01T10:00:00Z",
}


def value_of(name: str, operator: str, kind: RuleKind) -> Any:
    if operator in VALUES:
        return VALUES[operator]
    if name.startswith("publication."):
        return True
    for value in (5, "prod_1"):
        try:
            kind.value("value", value)
        except Exception:  # noqa: BLE001 - the next one is tried
            continue
        return value
    raise AssertionError(f"no value for {name}")


def leaf(name: str, operator: str, kind: RuleKind) -> dict[str, Any]:
    return {
        "name": name,
        "property": "key" if kind.needs_property else None,
        "conditions": {operator: [value_of(name, operator, kind)]},
    }


def is_broken(rules: dict[str, Any]) -> bool:
    body = {"name": "Rule", "rules": rules}
    saved = decide_create_rule(None, "val_1", "proj", body, NOW).rule.model_dump(mode="json")
    (compiled, *_) = compile_rule("proj", saved).leaves
    return compiled.is_broken


CASES = [(name, operator) for name, kind in RULE_KINDS.items() for operator in kind.operators]


@pytest.mark.parametrize(("name", "operator"), CASES)
def test_every_rule_that_is_saved_is_compiled(name: str, operator: str) -> None:
    assert not is_broken({"1": leaf(name, operator, RULE_KINDS[name])})


INNER = [(name, operator) for name, kind in INNER_KINDS.items() for operator in kind.operators]


@pytest.mark.parametrize(("name", "operator"), INNER)
def test_every_rule_inside_items_that_is_saved_is_compiled(name: str, operator: str) -> None:
    outer = leaf("order.items.any", "$is", RULE_KINDS["order.items.any"])
    inside = {"1": leaf(name, operator, INNER_KINDS[name])}
    assert not is_broken({"1": {**outer, "rules": inside}})


def test_every_published_name_can_be_saved() -> None:
    assert set(PUBLISHED) - set(RULE_KINDS) == set()


def test_every_name_of_the_engine_can_be_saved() -> None:
    assert (ITEM_RULES | set(COUNTING_RULES)) - set(RULE_KINDS) == set()


def test_what_is_not_built_is_noticed() -> None:
    assert compile_rule("proj", {"id": "val_1", "rules": {"1": {"name": "x"}}}).leaves[0].is_broken
