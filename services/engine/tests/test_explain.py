"""Explanations: they say what was decided, they are the same every time, and they stay small."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import limits
from engine.domain.validate import validate
from engine.testing import make_snapshot

Json = dict[str, Any]
CONDITIONS = [
    {"name": "order.amount", "conditions": {"$more_than": [500]}},
    {"name": "order.amount", "conditions": {"$less_than": [500]}},
    {"name": "order.items.count", "conditions": {"$more_than_or_equal": [2]}},
    {"name": "order.items.metadata_any", "property": "a", "conditions": {"$is": ["b"]}},
    {
        "name": "order.items.every",
        "conditions": {"$is": ["prod_0"]},
        "rules": {"1": {"name": "order.items.price", "conditions": {"$less_than": [900]}}},
    },
]


def _answer(rules: Json, items: list[Json], *, codes: int = 1, explain: bool = True) -> Json:
    definition = {
        "type": "DISCOUNT_VOUCHER",
        "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ITEMS"},
    }
    names = [f"C{number}" for number in range(codes)]
    world = {
        "rules": [{"id": "rule_1", "name": "Rule", "rules": rules}],
        "vouchers": {name: {"definition": definition, "rules": ["rule_1"]} for name in names},
        "stacking_rules": {"applicable_redeemables_limit": 30},
    }
    request: Json = {
        "redeemables": [{"object": "voucher", "id": name} for name in names],
        "order": {"items": items},
        "options": {"explain": explain},
    }
    return validate(make_snapshot(world, {"request": request}), "valid_1")


def _group(children: Any) -> Any:
    def build(bodies: list[Json], word: str) -> Json:
        rules = {str(number): body for number, body in enumerate(bodies, start=1)}
        return {**rules, "logic": f" {word} ".join(rules)}

    return st.builds(
        build, st.lists(children, min_size=1, max_size=3), st.sampled_from(["and", "or"])
    )


leaves = st.sampled_from(CONDITIONS)
trees = _group(
    st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda body, rules: {**body, "rules": rules},
            st.sampled_from(CONDITIONS[:4]),
            _group(inner),
        ),
        max_leaves=6,
    )
)
lines = st.lists(
    st.builds(
        lambda product, price, metadata: {
            "product_id": f"prod_{product}",
            "price": price,
            "metadata": metadata,
        },
        st.integers(0, 2),
        st.integers(0, 1000),
        st.sampled_from([{}, {"a": "b"}]),
    ),
    min_size=1,
    max_size=3,
)


def _said(group: Json, logic: str) -> bool:
    """Read a shown group once more, by its logic and the results that are shown."""
    text = re.sub(r"\d+", lambda found: str(group[found.group()]["result"]), logic)
    return bool(eval(text, {"__builtins__": {}}))


@settings(deadline=None, max_examples=150)
@given(trees, lines)
def test_what_is_shown_adds_up_to_what_was_decided(rules: Json, items: list[Json]) -> None:
    answer = _answer(rules, items)
    assert answer == _answer(rules, items), "deterministic"
    steps = answer["redeemables"] if answer["valid"] else answer["inapplicable_redeemables"]
    [shown] = steps[0]["explanation"]["rules"]
    assert shown["result"] is answer["valid"]
    assert _said(shown["rules"], shown["logic"]) is shown["result"]
    for body in shown["rules"].values():
        inside = body.get("rules")
        if isinstance(inside, dict) and body["result"]:
            assert _said(inside, body["logic"])
    without = _answer(rules, items, explain=False)
    for one in answer.get("inapplicable_redeemables", []) + answer["redeemables"]:
        del one["explanation"]
    assert answer == without, "explaining changes nothing else"


def test_an_explanation_stays_small() -> None:
    long = {"$in": ["x" * 250] * 20}
    rules = {
        str(n): {"name": "order.metadata", "property": "p" * 200, "conditions": long}
        for n in range(1, 200)
    }
    rules["200"] = {"name": "order.amount", "conditions": {"$more_than": [0]}}
    logic = " or ".join(rules)
    items = [{"product_id": f"prod_{n}", "price": 100} for n in range(100)]
    answer = _answer({**rules, "logic": logic}, items, codes=30)
    told = [one["explanation"] for one in answer["redeemables"]]
    assert len(told) == 30
    share = limits.EXPLAINED_RULES_MAX // 30
    assert [len(one["rules"][0]["rules"]) for one in told] == [share] * 30
    assert told[0]["rules"][0]["rules_left_out"] == 200 - share
    assert len(told[0]["amounts"]["items"]) == limits.EXPLAINED_LINES_MAX
    assert told[0]["amounts"]["items_changed"] == 100
    assert len(json.dumps(told)) < limits.ANSWER_BYTES_MAX // 3
