"""Rules inside rules: the flat form decides as the nested one would, and nothing is too deep for it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import limits
from engine.domain.conditions import BadConditionsError
from engine.domain.facts import Facts
from engine.domain.order import OrderFacts, read_cart
from engine.domain.rules import compile_rule, judge_of, verdicts_of, violation_of
from engine.domain.tree import culprit, lay_out

Json = dict[str, Any]
NOW = datetime(2026, 3, 11, tzinfo=UTC)


def no_own_rules(_body: Json) -> bool:
    return False


def group(children: Any) -> Any:
    """A group of one to three rules, joined by one word."""

    def made(parts: list[Json], word: str) -> Json:
        numbered: Json = {str(n): part for n, part in enumerate(parts, 1)}
        return {**numbered, "logic": f" {word} ".join(numbered)}

    return st.builds(
        made, st.lists(children, min_size=1, max_size=3), st.sampled_from(["and", "or"])
    )


leaves = st.builds(lambda holds: {"holds": holds, "rules": {}}, st.booleans())
trees = group(
    st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda holds, rules: {"holds": holds, "rules": rules}, st.booleans(), group(inner)
        ),
        max_leaves=12,
    )
)


def nested(rules: Json) -> bool:
    """The meaning, said recursively."""
    parts = [
        part["holds"] and (not part["rules"] or nested(part["rules"]))
        for name, part in rules.items()
        if name != "logic"
    ]
    return any(parts) if " or " in rules["logic"] else all(parts)


@given(trees)
def test_the_flat_form_decides_as_the_nested_one(rules: Json) -> None:
    try:
        tree = lay_out(rules, no_own_rules)
    except BadConditionsError:
        return
    own = [node.body["holds"] for node in tree.nodes]
    assert tree.decide(own) is nested(rules)


@given(trees)
def test_who_is_to_blame_fails_and_is_needed(rules: Json) -> None:
    try:
        tree = lay_out(rules, no_own_rules)
    except BadConditionsError:
        return
    own = [node.body["holds"] for node in tree.nodes]
    if tree.decide(own):
        return
    reading = sorted(range(len(own)), key=lambda place: tree.nodes[place].path)
    place = culprit(tree.decide, own, reading)
    assert own[place] is False
    before = [one for one in reading if reading.index(one) < reading.index(place)]
    without = [one in before and not own[one] for one in range(len(own))]
    assert tree.decide([not failing for failing in without]), "those before it may go on failing"


def asked(rules: Json) -> Json:
    """The same tree of rules that can be asked: about an order of 10, each with a message of its own."""
    found: Json = {}
    for name, part in rules.items():
        if name == "logic":
            found[name] = part
            continue
        conditions = {"$more_than": [0 if part["holds"] else 10]}
        found[name] = {"name": "order.amount", "conditions": conditions}
        found[name]["error"] = {"message": f"{name} of {len(rules)}"}
        if part["rules"]:
            found[name]["rules"] = asked(part["rules"])
    return found


@given(trees)
def test_the_short_way_blames_the_same_rule(rules: Json) -> None:
    rule = compile_rule("proj", {"id": "val_1", "rules": asked(rules)})
    assert judge_of(rule)(facts()) == violation_of(rule, verdicts_of(rule, facts()))


def chain(levels: int) -> Json:
    inner: Json = {}
    for _ in range(levels):
        rule = {"name": "order.amount", "conditions": {"$more_than": [0]}, "rules": inner}
        inner = {"1": rule, "logic": "1"}
    return inner


def facts(lines: int = 1) -> Facts:
    items = [{"product_id": f"prod_{n}", "price": 5, "quantity": 2} for n in range(lines)]
    return Facts(NOW, read_cart({"items": items}, OrderFacts("proj", {})), None, {}, {})


def holds(rules: Json, lines: int = 1) -> bool:
    rule = compile_rule("proj", {"id": "val_1", "rules": rules})
    return violation_of(rule, verdicts_of(rule, facts(lines))) is None


def test_the_deepest_legal_rule_holds_and_a_deeper_one_fails_closed() -> None:
    assert holds(chain(limits.RULE_LEVELS_MAX))
    assert not holds(chain(limits.RULE_LEVELS_MAX + 1))


@pytest.mark.parametrize("name", ["order.amount", "order.items.any"])
def test_no_depth_exhausts_the_stack(name: str) -> None:
    inside: Json = chain(50_000)
    conditions = {"$is": ["prod_0"]} if name == "order.items.any" else {"$more_than": [0]}
    assert not holds({"1": {"name": name, "conditions": conditions, "rules": inside}})


def wide(count: int) -> Iterator[tuple[str, Json]]:
    inner = {"name": "order.items.price", "conditions": {"$more_than": [1]}}
    for number in range(1, count + 1):
        named = {"$is": [f"prod_{number}"]}
        rules = {"1": inner, "logic": "1"}
        yield str(number), {"name": "order.items.any", "conditions": named, "rules": rules}


def test_the_largest_legal_rule_is_asked_about_the_largest_order() -> None:
    most = dict(wide(limits.RULES_MAX))
    assert holds(most, lines=limits.ITEMS_MAX)
    assert not holds({**most, "201": {"name": "order.amount", "conditions": {"$more_than": [0]}}})
