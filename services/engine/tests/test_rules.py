"""Rules from anybody: compiling never raises, and what cannot be read never lets anybody through."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import limits
from engine.domain.facts import Facts
from engine.domain.order import OrderFacts, read_cart
from engine.domain.rules import compile_rule, judge_of, verdicts_of, violation_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = [
    "order.amount",
    "order.initial_amount",
    "customer.segment",
    "customer.metadata",
    "order.items.any",
    "order.items.cheapest",
    "product.id",
    "product.metadata.match_all",
    "sku.discount_applicable",
    "redemption.count.per_customer.weekly",
    "publication.redeemable_by_linked_customer",
    "order.total_amount",
    "campaign.redemptions.count",
    "order.items.metadata_any",
    "nobody.knows",
]
OPERATORS = [
    "$is",
    "$more_than",
    "$less_than_or_equal",
    "$in",
    "$contains",
    "$nobody_knows",
    "$dow",
    "$timeframe",
    "$timeframe_daily_hours",
    "$timeframe_absolute",
    "$not_differ",
]
leaves = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "conditions": json_values
        | st.dictionaries(st.sampled_from(OPERATORS), json_values, max_size=2),
    },
    optional={"property": json_values, "rules": json_values, "error": json_values},
)
rules = st.dictionaries(st.sampled_from(["1", "2", "3"]), leaves | json_values, max_size=3)
FACTS = Facts(
    now=datetime(2026, 3, 11, tzinfo=UTC),
    cart=read_cart(
        {"items": [{"product_id": "prod_a", "price": 5, "metadata": {"a": [1, "x"]}}]},
        OrderFacts("proj", {}),
    ),
    customer={"id": "cust_1", "metadata": {"a": {"b": 1}}},
    segments={},
    metadata={},
)


UNHASHABLE: dict[str, Any] = {"name": [], "rules": {"1": {"name": {}}}}
ITEMS_WITH = {"name": "order.items.any", "conditions": {"$is": [{"id": "prod_a"}]}}


@settings(max_examples=400, deadline=None)
@given(rules, json_values, json_values | st.dictionaries(st.just("1"), leaves))
@example({"1": {"name": "order.amount", "conditions": {"$is": 1}, "rules": True}}, None, None)
@example({"1": {**ITEMS_WITH, "rules": True}}, None, None)
@example({"1": {**ITEMS_WITH, "rules": {"1": UNHASHABLE}}}, None, None)
@example({"1": UNHASHABLE}, None, None)
@example({}, {"included": [{"object": [], "id": "prod_a"}]}, None)
@example({}, None, {"1": {**ITEMS_WITH, "rules": True}})
def test_any_rule_compiles_and_answers(
    rule_set: dict[str, Any], applicable_to: Any, bundle_rules: Any
) -> None:
    body = {
        "id": "val_1",
        "rules": rule_set,
        "applicable_to": applicable_to,
        "bundle_rules": bundle_rules,
    }
    rule = compile_rule("proj", body)
    violation = violation_of(rule, verdicts_of(rule, FACTS))
    assert judge_of(rule)(FACTS) == violation, "the short way says the same"
    if any(
        isinstance(leaf, dict) and leaf.get("name") == "nobody.knows" for leaf in rule_set.values()
    ):
        assert violation is not None, "what is not built never holds"


@pytest.mark.parametrize(
    "odd",
    [
        {"rules": True},
        {"rules": "x"},
        {"rules": [{}]},
        {"rules": {"1": {"name": "order.amount", "conditions": {"$is": 1}, "rules": True}}},
        {"rules": {"1": {**ITEMS_WITH, "rules": True}}},
        {"rules": {}, "applicable_to": {"included": True}},
        {"rules": {}, "applicable_to": {"included_all": True, "excluded": 1}},
    ],
)
def test_what_has_the_wrong_type_never_holds(odd: dict[str, Any]) -> None:
    rule = compile_rule("proj", {"id": "val_1", **odd})
    assert violation_of(rule, verdicts_of(rule, FACTS)) is not None


@pytest.mark.parametrize("huge", [1e300, 10**300, "1e999999999"])
def test_a_bound_beyond_any_count_is_the_highest(huge: Any) -> None:
    conditions = {"$less_than_or_equal": huge}
    leaf = {"name": "redemption.count.daily", "conditions": conditions}
    (_, limit), *_ = compile_rule("proj", {"id": "val_1", "rules": {"1": leaf}}).limits
    assert limit.bound == limits.AMOUNT_MAX
