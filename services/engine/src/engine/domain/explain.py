"""Why a redeemable applied, or did not: its checks, its rules with what they looked at, and the amounts.

Only for validations and qualifications that ask for it (``options.explain``). It says what the tests found
and decides nothing. Its size is bounded by ``limits.EXPLAINED_…``; what is left out is counted.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine import limits
from engine.domain.conditions import names_of
from engine.domain.facts import Facts, Spent
from engine.domain.item_rules import ITEM_RULES, Asked, Looked, look
from engine.domain.limit_rules import Limit
from engine.domain.logic import parse
from engine.domain.order import Cart
from engine.domain.rules import (
    AFTER,
    HOLDER_RULE,
    ITEM_VALUES,
    METADATA_OF,
    ORDER_NUMBERS,
    REDEEMERS,
    CompiledRule,
    Verdicts,
    is_in_segment,
)
from engine.domain.tree import Node

LeftOf = Callable[[Limit], int | None]
"""Says what is left of a rule's limit by our view."""


class Heard(NamedTuple):
    """One rule, and what it looked at before the redeemable changed the order."""

    rule: CompiledRule
    verdicts: Verdicts
    inputs: list[Any]

    def after(self, verdicts: Verdicts, facts: Facts, spent: Spent) -> "Heard":
        """Return the same with what was asked after pricing."""
        inputs = list(self.inputs)
        for place, _ in self.rule.after:
            inputs[place] = AFTER[self.rule.leaves[place].name](facts, spent)
        return Heard(self.rule, verdicts, inputs)


def hear(rule: CompiledRule, verdicts: Verdicts, facts: Facts, left_of: LeftOf) -> Heard:
    """Note what each of a rule's tests looks at now."""
    inputs: list[Any] = []
    for place, leaf in enumerate(rule.leaves):
        if leaf.limit is not None:
            inputs.append({"limit": leaf.limit.bound, "left": left_of(leaf.limit)})
        elif place < len(rule.nodes) and not leaf.is_broken:
            inputs.append(_input(rule, rule.nodes[place].body, facts))
        else:
            inputs.append(None)
    return Heard(rule, verdicts, inputs)


class Amounts(NamedTuple):
    """What an order comes to at one moment, and its lines: (quantity, subtotal)."""

    shown: JsonObject
    lines: tuple[tuple[int, int], ...]


def amounts_of(cart: Cart) -> Amounts:
    """Return what the order comes to now."""
    shown = {
        "amount": cart.amount,
        "discount_amount": cart.discount,
        "items_discount_amount": cart.items_discount,
        "total_amount": cart.total,
    }
    return Amounts(shown, tuple((line.quantity, line.subtotal) for line in cart.lines))


def explanation(
    checks: Sequence[JsonObject],
    heard: Sequence[Heard],
    before: Amounts | None,
    after: Amounts | None,
    rules_max: int,
) -> JsonObject:
    """Return what an answer shows of one redeemable."""
    shown: JsonObject = {"checks": list(checks), "rules": []}
    for one in heard:
        shown["rules"].append(_rule_json(one, rules_max))
        rules_max = max(0, rules_max - len(one.rule.leaves))
    if before is not None and after is not None:
        shown["amounts"] = _amounts_json(before, after)
    return shown


# -- what a rule looks at -----------------------------------------------------------------------------


def _input(rule: CompiledRule, body: JsonObject, facts: Facts) -> Any:
    name = str(body.get("name"))
    if name in ORDER_NUMBERS:
        return ORDER_NUMBERS[name](facts.cart) if facts.cart is not None else None
    if name in METADATA_OF:
        return (METADATA_OF[name](facts) or {}).get(str(body.get("property")))
    if name in REDEEMERS:
        return REDEEMERS[name](facts)
    if name == HOLDER_RULE:
        customer_id = (facts.customer or {}).get("id")
        return (facts.redeemable_id, customer_id) in facts.holders
    if name == "customer.segment":
        return _segments(body, facts)
    if facts.cart is None:
        return None
    if name in ITEM_VALUES:
        key = str(body.get("property"))
        is_price = name.startswith("order.items.price")
        lines = facts.cart.lines[: limits.EXPLAINED_LINES_MAX]
        return [(line.price or 0) if is_price else line.metadata.get(key) for line in lines]
    if name in ITEM_RULES:
        return look(rule.project_id, body, facts.cart.lines, facts.now, limits.EXPLAINED_LINES_MAX)
    return None


def _segments(body: JsonObject, facts: Facts) -> list[str] | None:
    """Return those of the rule's segments that the customer is in."""
    if facts.customer is None:
        return None
    conditions = body.get("conditions") or {}
    named = [entry for values in conditions.values() for entry in names_of([values])]
    wanted = [str(entry.get("id")) for entry in named]
    return [one for one in wanted if is_in_segment(facts, one)]


# -- what is shown ------------------------------------------------------------------------------------


def _rule_json(heard: Heard, rules_max: int) -> JsonObject:
    rule, nodes = heard.rule, heard.rule.nodes
    own = [key is None for key in heard.verdicts]
    leaves = [_leaf_json(heard, place) for place in range(len(rule.leaves))]
    holds = list(own)
    inside: dict[int | None, list[int]] = {}
    for place, node in enumerate(nodes):
        inside.setdefault(node.parent, []).append(place)
    # A rule stands before those inside it: backwards, what is inside is known.
    for place in reversed(range(len(nodes))):
        if place in inside:
            text = nodes[place].body["rules"].get("logic")
            logic = parse(text, [nodes[one].name for one in inside[place]])
            holds[place] = own[place] and logic([holds[one] for one in inside[place]])
            leaves[place]["logic"] = text
            leaves[place]["rules"] = _named(nodes, leaves, inside[place], rules_max)
        leaves[place]["result"] = holds[place]
    top = _named(nodes, leaves, inside.get(None, []), rules_max)
    others = range(len(nodes), len(leaves))
    shown = {
        "id": rule.id,
        "result": rule.decide(own),
        "message": rule.message,
        "logic": rule.logic,
        "rules": top | {leaves[place]["name"]: leaves[place] for place in others},
        "rules_left_out": max(0, len(nodes) - rules_max),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _named(
    nodes: Sequence[Node], leaves: Sequence[JsonObject], places: Sequence[int], rules_max: int
) -> JsonObject:
    return {nodes[place].name: leaves[place] for place in places if place < rules_max}


def _leaf_json(heard: Heard, place: int) -> JsonObject:
    leaf, key = heard.rule.leaves[place], heard.verdicts[place]
    nodes = heard.rule.nodes
    shown: JsonObject = {"name": leaf.name}
    if place < len(nodes):
        body = nodes[place].body
        shown |= _asked_json(body)
    found = heard.inputs[place]
    if isinstance(found, Looked):
        shown |= _looked_json(found)
    else:
        shown["input"] = _bounded(found)
    shown["result"] = key is None
    if key is not None:
        shown["error"] = key
        if leaf.message is not None:
            shown["message"] = leaf.message
    return shown


def _asked_json(body: JsonObject) -> JsonObject:
    """Return the property and the operators of a rule as it was saved."""
    shown: JsonObject = {}
    if body.get("property"):
        shown["property"] = _bounded(body["property"])
    conditions = body.get("conditions")
    if isinstance(conditions, dict):
        shown["conditions"] = {name: _bounded(sent) for name, sent in conditions.items()}
    return shown


def _looked_json(looked: Looked) -> JsonObject:
    places, own, inside = looked
    most = limits.EXPLAINED_LINES_MAX
    shown: JsonObject = {"input": {"order_item_indices": places[:most], "total": len(places)}}
    if own:
        shown["items"] = _lines_json(own)
    if inside:
        shown["rules"] = [
            {"name": str(node.body.get("name")), **_asked_json(node.body), "items": _lines_json(of)}
            for node, of in inside[:most]
        ]
    return shown


def _lines_json(asked: Sequence[Asked]) -> list[JsonObject]:
    return [
        {"order_item_index": one.place, "input": _bounded(one.input), "result": one.holds}
        for one in asked
    ]


def _amounts_json(before: Amounts, after: Amounts) -> JsonObject:
    """Return the order before and after, and the lines that the step changed."""
    was = [*before.lines, *[(0, 0)] * (len(after.lines) - len(before.lines))]
    changed = [
        {
            "order_item_index": place,
            "quantity": {"before": old[0], "after": new[0]},
            "subtotal_amount": {"before": old[1], "after": new[1]},
        }
        for place, (old, new) in enumerate(zip(was, after.lines, strict=True))
        if old != new
    ]
    return {
        "before": before.shown,
        "after": after.shown,
        "items": changed[: limits.EXPLAINED_LINES_MAX],
        "items_changed": len(changed),
    }


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[: limits.EXPLAINED_LENGTH_MAX]
    if isinstance(value, list):
        return [_bounded_one(one) for one in value[: limits.EXPLAINED_VALUES_MAX]]
    return _bounded_one(value) if isinstance(value, dict) else value


def _bounded_one(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        text = json.dumps(value, sort_keys=True, default=str)
        return value if len(text) <= limits.EXPLAINED_LENGTH_MAX else _bounded(text)
    return _bounded(value)
