"""A project's stacking rules: what may be set, what contradicts itself, what a category leaves behind."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DomainError
from contracts.gateway import Project
from contracts.stacking import DEFAULT_STACKING_RULES
from gateway.domain import stacking_rules as rules

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROJECT = Project(
    id="proj_1", name="P", timezone="UTC", currency="EUR", created_at=NOW, webhook_secret="x"
)


def test_every_default_can_be_set_as_it_is() -> None:
    assert set(rules.FIELDS) == set(DEFAULT_STACKING_RULES)
    assert rules.read_rules(DEFAULT_STACKING_RULES, {}) == DEFAULT_STACKING_RULES


@pytest.mark.parametrize(
    ("body", "prop"),
    [
        ({"redeemables_limit": 0}, "redeemables_limit"),
        ({"redeemables_limit": 31}, "redeemables_limit"),
        ({"applicable_redeemables_limit": "5"}, "applicable_redeemables_limit"),
        ({"applicable_exclusive_redeemables_limit": 6}, "applicable_exclusive_redeemables_limit"),
        (
            {"applicable_redeemables_category_limits": {"cat_1": 0}},
            "applicable_redeemables_category_limits.cat_1",
        ),
        ({"exclusive_categories": "cat_1"}, "exclusive_categories"),
        ({"joint_categories": [1]}, "joint_categories[0]"),
        ({"redeemables_sorting_rule": "BEST"}, "redeemables_sorting_rule"),
        ({"grouped_redeemables_sorting_rule": "FIRST"}, "grouped_redeemables_sorting_rule"),
        ({"exclusive_categories": ["a"], "joint_categories": ["a"]}, "exclusive_categories"),
        (
            {"no_effect_skip_categories": ["a"], "no_effect_redeem_anyway_categories": ["a"]},
            "no_effect_skip_categories",
        ),
    ],
)
def test_wrong_rules_are_refused_by_name(body: dict[str, Any], prop: str) -> None:
    with pytest.raises(DomainError) as refused:
        rules.read_rules(body, {})
    assert refused.value.prop == prop


def test_what_is_not_sent_stays_and_null_is_the_default() -> None:
    stored = {"redeemables_limit": 3, "joint_categories": ["a"]}
    assert rules.read_rules({"redeemables_limit": None}, stored) == {"joint_categories": ["a"]}
    sent = {"applicable_redeemables_per_category_limit": None}
    assert rules.read_rules(sent, stored) == {**stored, **sent}
    with pytest.raises(DomainError):
        rules.read_rules({"exclusive_categories": ["a"]}, stored)


def test_a_category_leaves_every_rule() -> None:
    stored = {
        "joint_categories": ["a", "b"],
        "applicable_redeemables_category_limits": {"a": 2, "b": 3},
        "redeemables_limit": 4,
    }
    assert rules.named_categories(stored) == {"a", "b"}
    left = rules.without_category(stored, "a")
    assert left == {
        "joint_categories": ["b"],
        "applicable_redeemables_category_limits": {"b": 3},
        "redeemables_limit": 4,
    }
    assert rules.without_category(stored, "c") == stored


def test_a_project_has_rules_once_and_can_go_back() -> None:
    made = rules.decide_create(PROJECT, "stk_1", {"redeemables_limit": 3}, NOW).project
    assert (made.stacking_rules_id, made.stacking_rules_created_at) == ("stk_1", NOW)
    with pytest.raises(rules.StackingRulesExist):
        rules.decide_create(made, "stk_2", {}, NOW)
    with pytest.raises(DomainError):
        rules.check_id(made, "stk_2")
    assert rules.decide_put(made, {"redeemables_limit": 3}, NOW) == []
    (event,) = rules.decide_put(made, {}, NOW)
    assert event.project.stacking_rules == {}
    back = rules.decide_delete(made, NOW).project
    assert (back.stacking_rules, back.stacking_rules_id) == ({}, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(rules.FIELDS)), JSON))
def test_any_rules_are_kept_or_refused_by_name(body: dict[str, Any]) -> None:
    try:
        kept = rules.read_rules(body, {})
    except DomainError as refused:
        assert refused.prop  # noqa: PT017 - either outcome is right
    else:
        assert rules.read_rules(kept, {}) == kept
