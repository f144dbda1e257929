"""Validation rules, compiled once per version into closures.

A rule that cannot be compiled (a name or an operator that is not built) never holds: it fails closed
and names itself. Rules that count are not decided here: see :mod:`engine.domain.limit_rules`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from contracts.filters import matches
from engine import limits
from engine.domain import item_rules
from engine.domain.applicable import Entry, read_entry
from engine.domain.conditions import (
    BadConditionsError,
    compile_conditions,
    names_of,
    only_values,
)
from engine.domain.facts import Facts
from engine.domain.limit_rules import COUNTING_RULES, Limit, compile_limit
from engine.domain.logic import BadLogicError, Logic, parse
from engine.domain.products import Products, products_of

Test = Callable[[Facts], str | None]
"""None when the rule holds, else the key of the refusal."""

ALL_PRODUCTS = {
    "object": "products_collection",
    "id": "pc_a11pr0dUc75",
    "effect": "APPLY_TO_EVERY",
}


class Leaf(NamedTuple):
    """One numbered rule: a test, or a limit that is posted."""

    name: str
    test: Test
    limit: Limit | None
    message: str | None
    violation: str
    """Key of the refusal when it does not hold."""


class Applicability(NamedTuple):
    """To which lines a discount applies; what is excluded wins."""

    includes_all: bool
    included: Products
    excluded: Products
    entries: tuple[Entry, ...]
    """What is included, each with its caps and application rule."""
    shown_included: list[JsonObject]
    shown_excluded: list[JsonObject]


class CompiledRule(NamedTuple):
    """A validation rule of one version, ready to be asked."""

    id: str
    version: int
    leaves: tuple[Leaf, ...]
    logic: Logic
    message: str | None
    applicability: Applicability | None
    segment_ids: frozenset[str]
    limits: tuple[tuple[int, Limit], ...]
    collection_ids: frozenset[str]


class Violation(NamedTuple):
    """Why a rule does not hold."""

    key: str
    rule_id: str
    message: str | None


def compile_rule(project_id: str, rule: Mapping[str, Any]) -> CompiledRule:
    """Compile a rule as it was saved; never raises."""
    message = _message(rule)
    segment_ids: set[str] = set()
    try:
        leaves, logic = _compile_leaves(project_id, rule.get("rules") or {}, segment_ids)
    except (BadConditionsError, BadLogicError):
        leaves, logic = (_broken(str(rule["id"]), message),), all
    applicability = _applicability(project_id, rule.get("applicable_to"))
    return CompiledRule(
        id=str(rule["id"]),
        version=int(rule.get("version") or 1),
        leaves=leaves,
        logic=logic,
        message=message,
        applicability=applicability,
        segment_ids=frozenset(segment_ids),
        collection_ids=_collections(applicability),
        limits=tuple((n, leaf.limit) for n, leaf in enumerate(leaves) if leaf.limit is not None),
    )


def _compile_leaves(
    project_id: str, rules: JsonObject, segment_ids: set[str]
) -> tuple[tuple[Leaf, ...], Logic]:
    names = [name for name in rules if name != "logic"]
    if len(names) > limits.RULES_MAX:
        raise BadConditionsError(f"must have at most {limits.RULES_MAX} rules")
    leaves = []
    for name in names:
        if not isinstance(rules[name], dict):
            raise BadConditionsError("must be an object")
        leaves.append(_compile_leaf(project_id, rules[name], segment_ids))
    text = rules.get("logic")
    return tuple(leaves), parse(text if isinstance(text, str) else None, names)


def _compile_leaf(project_id: str, leaf: JsonObject, segment_ids: set[str]) -> Leaf:
    name, message = str(leaf.get("name")), _message(leaf)
    violation = _violation(name)
    try:
        if name in COUNTING_RULES:
            limit = compile_limit(name, leaf.get("conditions"))
            return Leaf(name, _limit_test(limit), limit, message, violation)
        test = _compile_test(project_id, name, leaf, segment_ids, violation)
    except (BadConditionsError, BadLogicError):
        return _broken(name, message)
    return Leaf(name, test, None, message, violation)


def _message(holder: Mapping[str, Any]) -> str | None:
    error = holder.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) and message else None


def _broken(name: str, message: str | None) -> Leaf:
    key = "redemption_rules_violated"
    return Leaf(name, lambda _facts: key, None, message, key)


def _violation(name: str) -> str:
    if name == "customer.segment":
        return "customer_rules_violated"
    if name.startswith(("order.", "product.", "sku.")):
        return "order_rules_violated"
    return "redemption_rules_violated"


def _limit_test(limit: Limit) -> Test:
    """What can be said of a limit before pricing: whether there is a customer to count for."""
    if limit.rule.is_per_customer:
        return lambda facts: None if facts.customer is not None else "missing_customer"
    if limit.rule.unit == "order_amount":
        return lambda facts: None if facts.cart is not None else "missing_order"
    return lambda _facts: None


# -- tests by name ------------------------------------------------------------------------------------


def _compile_test(
    project_id: str, name: str, leaf: JsonObject, segment_ids: set[str], violation: str
) -> Test:
    conditions = leaf.get("conditions")
    if name == "customer.segment":
        return _segment_test(conditions, segment_ids)
    if name in item_rules.ITEM_RULES:
        return _on_items(item_rules.compile_items(project_id, name, leaf), violation)
    if name in _ORDER_NUMBERS:
        measure = _ORDER_NUMBERS[name]
        compare = compile_conditions(conditions, is_number=True)
        return _on_order(lambda facts: compare(measure(facts), facts.now), violation)
    if name in _ITEM_VALUES:
        test = _item_values(name, leaf)
        return _on_items(test, violation)
    if name in _METADATA:
        return _metadata_test(name, leaf, violation)
    if name == "redemption.api_key":
        check = compile_conditions(conditions)
        return lambda facts: None if check(facts.api_key_id, facts.now) else violation
    raise BadConditionsError(f"{name} is not supported")


_ORDER_NUMBERS: dict[str, Callable[[Facts], int]] = {
    # What is left to pay at this step: a redeemable sees the discounts of those before it.
    "order.amount": lambda facts: facts.cart.total if facts.cart else 0,
    "order.total_amount": lambda facts: facts.cart.total if facts.cart else 0,
    "order.initial_amount": lambda facts: facts.cart.amount if facts.cart else 0,
    "order.items.count": lambda facts: (
        sum(line.quantity for line in facts.cart.lines) if facts.cart else 0
    ),
}

_ITEM_VALUES: dict[str, Callable[..., bool]] = {
    "order.items.price_any": any,
    "order.items.price_each": all,
    "order.items.metadata_any": any,
    "order.items.metadata_each": all,
}

_METADATA = frozenset({"order.metadata", "customer.metadata", "redemption.metadata"})


def _on_order(holds: Callable[[Facts], bool], violation: str) -> Test:
    def test(facts: Facts) -> str | None:
        if facts.cart is None:
            return "missing_order"
        return None if holds(facts) else violation

    return test


def _on_items(holds: item_rules.ItemsTest, violation: str) -> Test:
    def test(facts: Facts) -> str | None:
        if facts.cart is None:
            return "missing_order"
        return None if holds(facts.cart.lines, facts.now) else violation

    return test


def _item_values(name: str, leaf: JsonObject) -> item_rules.ItemsTest:
    quantifier = _ITEM_VALUES[name]
    if name.startswith("order.items.price"):
        compare = compile_conditions(leaf.get("conditions"), is_number=True)
        return item_rules.each_line(lambda line: line.price or 0, compare, quantifier)
    key = _property(name, leaf)
    check = compile_conditions(leaf.get("conditions"))
    return item_rules.each_line(lambda line: line.metadata.get(key), check, quantifier)


def _property(name: str, leaf: JsonObject) -> str:
    key = leaf.get("property")
    if not isinstance(key, str) or not key:
        raise BadConditionsError(f"Rule '{name}' must have a 'property'")
    return key


def _metadata_test(name: str, leaf: JsonObject, violation: str) -> Test:
    key, check = _property(name, leaf), compile_conditions(leaf.get("conditions"))

    def test(facts: Facts) -> str | None:
        if name == "customer.metadata":
            if facts.customer is None:
                return "missing_customer"
            metadata = facts.customer.get("metadata") or {}
        elif name == "order.metadata":
            if facts.cart is None:
                return "missing_order"
            metadata = facts.cart.header.get("metadata") or {}
        else:
            metadata = facts.metadata
        return None if check(metadata.get(key), facts.now) else violation

    return test


def _segment_test(conditions: Any, segment_ids: set[str]) -> Test:
    operator, values = only_values(conditions, ("$is", "$in", "$is_not", "$not_in"))
    wanted = [str(entry.get("id")) for entry in names_of(values)]
    segment_ids.update(wanted)
    is_wanted = operator in {"$is", "$in"}

    def test(facts: Facts) -> str | None:
        if facts.customer is None:
            return "missing_customer"
        is_in = any(_is_in_segment(facts, segment_id) for segment_id in wanted)
        return None if is_in is is_wanted else "customer_rules_violated"

    return test


def _is_in_segment(facts: Facts, segment_id: str) -> bool:
    segment = facts.segments.get(segment_id)
    assert facts.customer is not None, "asked only with a customer"
    if segment is None:
        return False
    if segment.filter is not None:
        return matches(segment.filter, facts.customer, facts.now)
    return facts.customer.get("id") in segment.customer_ids


def _applicability(project_id: str, sent: Any) -> Applicability | None:
    if not isinstance(sent, dict):
        return None
    included = [one for one in sent.get("included") or [] if isinstance(one, dict)]
    excluded = [one for one in sent.get("excluded") or [] if isinstance(one, dict)]
    includes_all = bool(sent.get("included_all"))
    if not (included or excluded or includes_all):
        return None
    entries = tuple(read_entry(project_id, one) for one in included)
    return Applicability(
        includes_all=includes_all or not included,
        included=products_of(project_id, included),
        excluded=products_of(project_id, excluded),
        entries=entries,
        shown_included=[entry.shown for entry in entries] or [ALL_PRODUCTS],
        shown_excluded=[read_entry(project_id, one).shown for one in excluded],
    )


def _collections(applicability: Applicability | None) -> frozenset[str]:
    if applicability is None:
        return frozenset()
    return applicability.included.collection_ids | applicability.excluded.collection_ids


# -- asking -------------------------------------------------------------------------------------------


Verdicts = Sequence[str | None]
"""What each rule said before pricing: None where it holds, else the key of the refusal."""


def verdicts_of(rule: CompiledRule, facts: Facts) -> Verdicts:
    """Ask every rule, before the redeemable changes the order; limits are taken to hold."""
    return [leaf.test(facts) for leaf in rule.leaves]


def violation_of(rule: CompiledRule, verdicts: Verdicts) -> Violation | None:
    """Decide by everything that does not count."""
    if rule.logic([key is None for key in verdicts]):
        return None
    index = next(index for index, key in enumerate(verdicts) if key is not None)
    return Violation(verdicts[index] or "", rule.id, rule.leaves[index].message or rule.message)


def needed_limits(
    rule: CompiledRule, verdicts: Verdicts, has_room: Callable[[Limit], bool]
) -> list[tuple[Leaf, Limit]]:
    """Return the limits that must be posted so that the rule holds.

    With ``and`` these are all. Where an ``or`` lets the rule hold without any limit, none is posted;
    where it needs one of several, those that have room by our view are.
    """
    if not rule.limits:
        return []
    plain = [
        leaf.limit is None and key is None for leaf, key in zip(rule.leaves, verdicts, strict=True)
    ]
    if rule.logic(plain):
        return []
    possible = [(index, limit) for index, limit in rule.limits if verdicts[index] is None]
    roomy = {index for index, limit in possible if has_room(limit)}
    if not rule.logic([holds or index in roomy for index, holds in enumerate(plain)]):
        # By our view it cannot hold. Only the ledger may say so: it gets all of them.
        roomy = {index for index, _ in possible}
    return [(rule.leaves[index], limit) for index, limit in possible if index in roomy]


def matching_lines(rules: Sequence[CompiledRule], facts: Facts) -> list[int]:
    """Return the indices of the lines that item discounts may touch."""
    assert facts.cart is not None, "only orders have lines"
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    lines = facts.cart.lines
    if not scopes:
        return list(range(len(lines)))
    return [
        index
        for index, line in enumerate(lines)
        if any(scope.includes_all or scope.included.covers(line) for scope in scopes)
        and not any(scope.excluded.covers(line) for scope in scopes)
    ]
