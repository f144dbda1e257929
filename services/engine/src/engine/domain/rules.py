"""Validation rules, compiled once per version into closures.

A rule that cannot be compiled (a name or an operator that is not built) never holds: it fails closed
and names itself. Rules that count are not decided here: see :mod:`engine.domain.limit_rules`. Some can only
be asked after pricing (what is paid with credits, what is left to pay): their test has a second part.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from contracts.filters import matches
from engine.domain import item_rules
from engine.domain.applicable import Entry, Index, index_of, read_entry
from engine.domain.bundle import Bundle, BundleRule, count_bundles, read_bundle
from engine.domain.conditions import (
    BadConditionsError,
    comparison_of,
    compile_conditions,
    names_of,
    only_values,
    property_of,
)
from engine.domain.effort import NO_EFFORT, Effort, effort_of_rule
from engine.domain.facts import Facts, Spent
from engine.domain.item_rules import Selects
from engine.domain.limit_rules import COUNTING_RULES, Limit, compile_limit
from engine.domain.logic import BadLogicError
from engine.domain.order import Cart
from engine.domain.products import Products, products_of
from engine.domain.tree import Decide, Node, culprit, lay_out

Test = Callable[[Facts], str | None]
"""None when the rule holds, else the key of the refusal."""

TestAfter = Callable[[Facts, Spent], bool]
"""Asked after pricing."""

ALL_PRODUCTS = {
    "object": "products_collection",
    "id": "pc_a11pr0dUc75",
    "effect": "APPLY_TO_EVERY",
}


class Leaf(NamedTuple):
    """One rule without those inside it: a test, a limit that is posted, or a test after pricing."""

    name: str
    test: Test
    message: str | None
    violation: str
    """Key of the refusal when it does not hold."""
    limit: Limit | None = None
    after: TestAfter | None = None
    discounts: Selects | None = None
    """Which lines it lets item discounts touch."""
    is_broken: bool = False
    """It could not be compiled, and never holds."""


class Applicability(NamedTuple):
    """To which lines a discount applies; what is excluded wins."""

    includes_all: bool
    included: Products
    excluded: Products
    entries: tuple[Entry, ...]
    """What is included, each with its caps and application rule."""
    by_line: Index
    shown_included: list[JsonObject]
    shown_excluded: list[JsonObject]


class CompiledRule(NamedTuple):
    """A validation rule of one version, ready to be asked."""

    id: str
    version: int
    leaves: tuple[Leaf, ...]
    """All rules, each before those inside it."""
    decide: Decide
    reading: tuple[int, ...]
    """The places of the leaves, as they are read."""
    message: str | None
    applicability: Applicability | None
    bundle: BundleRule | None
    segment_ids: frozenset[str]
    collection_ids: frozenset[str]
    limits: tuple[tuple[int, Limit], ...]
    after: tuple[tuple[int, TestAfter], ...]
    needs_holder: bool
    """Whether it asks who holds the code."""
    effort: Effort
    """What it costs to ask it."""
    nodes: tuple[Node, ...]
    """The leaves as they were saved, in the same order; what comes after them was saved elsewhere."""
    logic: str | None
    project_id: str
    required: tuple[int, ...] | None
    """The leaves that must all hold, as they are read, if that is all that is asked; None: see ``decide``."""


@dataclass(slots=True)
class Violation:
    """Why a rule does not hold."""

    key: str
    rule_id: str
    message: str | None


class _Names:
    """What the rules of one definition name, gathered while they are compiled."""

    def __init__(self) -> None:
        self.segment_ids: set[str] = set()
        self.collection_ids: set[str] = set()


def compile_rule(project_id: str, rule: Mapping[str, Any]) -> CompiledRule:
    """Compile a rule as it was saved; never raises."""
    message = _message(rule)
    named = _Names()
    applicability, bundle, effort = None, None, NO_EFFORT
    nodes: tuple[Node, ...] = ()
    try:
        applicability = _applicability(project_id, rule.get("applicable_to"))
        leaves, decide, reading, nodes = _compile_leaves(project_id, rule.get("rules") or {}, named)
        bundle = read_bundle(project_id, rule.get("bundle_rules"))
        entries = applicability.entries if applicability is not None else ()
        effort = effort_of_rule([node.body for node in nodes], entries, bundle)
    except (BadConditionsError, BadLogicError):
        leaves, decide, reading = (_broken(str(rule["id"]), message),), all, (0,)
    if applicability is not None:
        named.collection_ids.update(applicability.included.collection_ids)
        named.collection_ids.update(applicability.excluded.collection_ids)
    if bundle is not None:
        named.collection_ids.update(bundle.collection_ids)
        reading = (*reading, len(leaves))
        leaves, decide = (*leaves, _bundle_leaf(bundle, message)), _and_bundle(decide)
    return CompiledRule(
        id=str(rule["id"]),
        version=int(rule.get("version") or 1),
        leaves=leaves,
        decide=decide,
        reading=reading,
        message=message,
        applicability=applicability,
        bundle=bundle,
        segment_ids=frozenset(named.segment_ids),
        collection_ids=frozenset(named.collection_ids),
        limits=tuple((n, leaf.limit) for n, leaf in enumerate(leaves) if leaf.limit is not None),
        after=tuple((n, leaf.after) for n, leaf in enumerate(leaves) if leaf.after is not None),
        needs_holder=any(leaf.name == HOLDER_RULE for leaf in leaves),
        effort=effort,
        nodes=nodes,
        logic=_logic(rule.get("rules")),
        project_id=project_id,
        required=_required(decide, reading),
    )


def _required(decide: Decide, reading: Sequence[int]) -> tuple[int, ...] | None:
    """Return the places that must all hold, if that is what ``decide`` says; None where it has an "or".

    More leaves that hold never make a tree fail. So it is an "and" of those without which it cannot hold
    if and only if they suffice.
    """
    size = len(reading)
    required = []
    for place in reading:
        if not decide([other != place for other in range(size)]):
            required.append(place)
    return tuple(required) if decide([place in required for place in range(size)]) else None


def _logic(rules: Any) -> str | None:
    text = rules.get("logic") if isinstance(rules, dict) else None
    return text if isinstance(text, str) and text.strip() else None


def _compile_leaves(
    project_id: str, rules: JsonObject, named: _Names
) -> tuple[tuple[Leaf, ...], Decide, tuple[int, ...], tuple[Node, ...]]:
    tree = lay_out(rules, lambda body: str(body.get("name")) in item_rules.ITEM_RULES)
    leaves: list[Leaf] = []
    for node in tree.nodes:
        outer = leaves[node.parent].message if node.parent is not None else None
        leaves.append(_compile_leaf(project_id, node.body, _message(node.body) or outer, named))
    reading = sorted(range(len(leaves)), key=lambda place: tree.nodes[place].path)
    return tuple(leaves), tree.decide, tuple(reading), tree.nodes


def _bundle_leaf(bundle: BundleRule, message: str | None) -> Leaf:
    """A rule of its own, behind the others: the order must have at least one bundle."""
    violation = "order_rules_violated"
    test = _on_order(
        lambda facts: (
            facts.cart is not None and count_bundles(bundle, facts.cart.lines).quantity > 0
        ),
        violation,
    )
    return Leaf("bundle_rules", test, message, violation)


def _and_bundle(decide: Decide) -> Decide:
    return lambda own: own[-1] and decide(own[:-1])


def bundle_of(rules: Sequence[CompiledRule], cart: Cart) -> Bundle | None:
    """Return the complete bundles of an order: the fewest where several rules ask for bundles."""
    counted = [count_bundles(rule.bundle, cart.lines) for rule in rules if rule.bundle is not None]
    return min(counted, key=lambda bundle: bundle.quantity, default=None)


def _compile_leaf(project_id: str, leaf: JsonObject, message: str | None, named: _Names) -> Leaf:
    name = str(leaf.get("name"))
    violation = _violation(name)
    conditions = leaf.get("conditions")
    try:
        if name in COUNTING_RULES:
            limit = compile_limit(name, conditions)
            return Leaf(name, _limit_test(limit), message, violation, limit)
        if name in AFTER:
            after = _after_test(name, conditions)
            return Leaf(name, _needs_order(name), message, violation, after=after)
        if name in item_rules.ITEM_RULES:
            found = item_rules.compile_items(project_id, name, leaf)
            named.collection_ids.update(found.collection_ids)
            test = _on_items(found.test, violation)
            return Leaf(name, test, message, violation, discounts=found.discounts)
        test = _compile_test(name, leaf, named, violation)
    except (BadConditionsError, BadLogicError):
        return _broken(name, message)
    return Leaf(name, test, message, violation)


def _message(holder: Mapping[str, Any]) -> str | None:
    error = holder.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) and message else None


def _broken(name: str, message: str | None) -> Leaf:
    key = "redemption_rules_violated"
    return Leaf(name, lambda _facts: key, message, key, is_broken=True)


def _violation(name: str) -> str:
    if name == "customer.segment":
        return "customer_rules_violated"
    if name.startswith(("order.", "product.", "sku.")):
        return "order_rules_violated"
    return "redemption_rules_violated"


def _limit_test(limit: Limit) -> Test:
    """What can be said of a limit before pricing: whether there is somebody to count for."""
    if limit.rule.per == "customer":
        return lambda facts: None if facts.customer is not None else "missing_customer"
    if limit.rule.per == "user":
        # Redemptions come with API keys; nobody is logged in for whom one could count.
        return lambda _facts: "redemption_rules_violated"
    if limit.rule.per == "api_key":
        return lambda facts: None if facts.api_key_id else "redemption_rules_violated"
    if limit.rule.unit == "order_amount":
        return lambda facts: None if facts.cart is not None else "missing_order"
    return lambda _facts: None


# -- tests by name ------------------------------------------------------------------------------------


HOLDER_RULE = "publication.redeemable_by_linked_customer"


def _compile_test(name: str, leaf: JsonObject, named: _Names, violation: str) -> Test:
    conditions = leaf.get("conditions")
    if name == "customer.segment":
        return _once(_segment_test(conditions, named.segment_ids), name, leaf)
    if name in ORDER_NUMBERS:
        return _number_test(ORDER_NUMBERS[name], conditions, violation)
    if name in ITEM_VALUES:
        return _on_items(_item_values(name, leaf), violation)
    if name in METADATA_OF:
        return _once(_metadata_test(name, leaf, violation), name, leaf)
    if name in REDEEMERS:
        check, who = compile_conditions(conditions), REDEEMERS[name]
        return lambda facts: None if check(who(facts), facts.now) else violation
    if name == HOLDER_RULE:
        return _holder_test(conditions, violation)
    raise BadConditionsError(f"{name} is not supported")


ORDER_NUMBERS: dict[str, Callable[[Cart], int]] = {
    # What is left to pay at this step: a redeemable sees the discounts of those before it.
    "order.amount": attrgetter("total"),
    "order.initial_amount": attrgetter("initial_amount"),
    "order.items.count": lambda cart: sum(cart.state.units.quantities),
}

ITEM_VALUES: dict[str, Callable[..., bool]] = {
    "order.items.price_any": any,
    "order.items.price_each": all,
    "order.items.metadata_any": any,
    "order.items.metadata_each": all,
}

METADATA_OF: dict[str, Callable[[Facts], JsonObject | None]] = {
    "order.metadata": lambda facts: (
        facts.cart.header.get("metadata") or {} if facts.cart is not None else None
    ),
    "customer.metadata": lambda facts: (
        facts.customer.get("metadata") or {} if facts.customer is not None else None
    ),
    "redemption.metadata": lambda facts: facts.metadata,
    "custom_event.metadata": lambda facts: facts.event_metadata,
}
"""None where what should have the metadata is missing."""

REDEEMERS: dict[str, Callable[[Facts], str | None]] = {
    "redemption.api_key": lambda facts: facts.api_key_id,
    "redemption.user.login": lambda _facts: None,
}


_UNKNOWN = "unknown"


def _once(test: Test, name: str, leaf: JsonObject) -> Test:
    """Ask once for a request what is asked by many rules, and is the same before and after any discount."""
    asked = sys.intern(
        json.dumps([name, leaf.get("property"), leaf.get("conditions")], sort_keys=True)
    )

    def remembered(facts: Facts) -> str | None:
        said: str | None = facts.known.get(asked, _UNKNOWN)
        if said is _UNKNOWN:
            said = facts.known[asked] = test(facts)
        return said

    return remembered


def _number_test(measure: Callable[[Cart], int], conditions: Any, violation: str) -> Test:
    simple = comparison_of(conditions)
    if simple is None:
        test = compile_conditions(conditions, is_number=True)
        return _on_order(
            lambda facts: facts.cart is not None and test(measure(facts.cart), facts.now), violation
        )
    compare, limit = simple

    def compared(facts: Facts) -> str | None:
        cart = facts.cart
        if cart is None:
            return "missing_order"
        return None if compare(measure(cart), limit) else violation

    return compared


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
    quantifier = ITEM_VALUES[name]
    if name.startswith("order.items.price"):
        compare = compile_conditions(leaf.get("conditions"), is_number=True)
        return item_rules.each_line(lambda line: line.price or 0, compare, quantifier)
    key, check = property_of(leaf), compile_conditions(leaf.get("conditions"))
    return item_rules.each_line(lambda line: line.metadata.get(key), check, quantifier)


def _metadata_test(name: str, leaf: JsonObject, violation: str) -> Test:
    key, check = property_of(leaf), compile_conditions(leaf.get("conditions"))

    missing = {"customer.metadata": "missing_customer", "order.metadata": "missing_order"}

    def test(facts: Facts) -> str | None:
        metadata = METADATA_OF[name](facts)
        if metadata is None:
            return missing[name]
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
        is_in = any(is_in_segment(facts, segment_id) for segment_id in wanted)
        return None if is_in is is_wanted else "customer_rules_violated"

    return test


def is_in_segment(facts: Facts, segment_id: str) -> bool:
    """Say whether the customer is in a segment."""
    segment = facts.segments.get(segment_id)
    assert facts.customer is not None, "asked only with a customer"
    if segment is None:
        return False
    if segment.filter is not None:
        return matches(segment.filter, facts.customer, facts.now)
    return facts.customer.get("id") in segment.customer_ids


def _holder_test(conditions: Any, violation: str) -> Test:
    """Only customers to whom the code was published; a condition of false switches the rule off."""
    _, values = only_values(conditions or {"$is": [True]}, ("$is",))
    if values in ([False], ["false"]):
        return lambda _facts: None

    def test(facts: Facts) -> str | None:
        if facts.customer is None:
            return "missing_customer"
        is_holder = (facts.redeemable_id, facts.customer.get("id")) in facts.holders
        return None if is_holder else violation

    return test


# -- after pricing ------------------------------------------------------------------------------------

AFTER: dict[str, Callable[[Facts, Spent], int | None]] = {
    # What is left to pay with this redeemable's own discount.
    "order.total_amount": lambda facts, _spent: facts.cart.total if facts.cart else None,
    "redemption.gift.amount": lambda _facts, spent: spent.credits,
    "redemption.reward.pay_with_points.points_used": lambda _facts, spent: spent.points,
}


def _after_test(name: str, conditions: Any) -> TestAfter:
    compare, measure = compile_conditions(conditions, is_number=True), AFTER[name]

    def test(facts: Facts, spent: Spent) -> bool:
        # Nothing spent of this kind: a code without credits has none to limit.
        value = measure(facts, spent)
        return value is None or compare(value, facts.now)

    return test


def _needs_order(name: str) -> Test:
    if name.startswith("order."):
        return lambda facts: None if facts.cart is not None else "missing_order"
    return lambda _facts: None


# -- what a discount applies to -----------------------------------------------------------------------


def _applicability(project_id: str, sent: Any) -> Applicability | None:
    if not isinstance(sent, dict):
        return None
    included, excluded = _entries(sent.get("included")), _entries(sent.get("excluded"))
    includes_all = bool(sent.get("included_all"))
    if not (included or excluded or includes_all):
        return None
    entries = tuple(read_entry(project_id, one) for one in included)
    return Applicability(
        includes_all=includes_all or not included,
        included=products_of(project_id, included),
        excluded=products_of(project_id, excluded),
        entries=entries,
        by_line=index_of(entries),
        shown_included=[entry.shown for entry in entries] or [ALL_PRODUCTS],
        shown_excluded=[read_entry(project_id, one).shown for one in excluded],
    )


def _entries(sent: Any) -> list[JsonObject]:
    if sent is not None and not isinstance(sent, list):
        raise BadConditionsError("must be a list")
    return [one for one in sent or [] if isinstance(one, dict)]


def matching_lines(rules: Sequence[CompiledRule], facts: Facts) -> list[int]:
    """Return the indices of the lines that item discounts may touch."""
    assert facts.cart is not None, "only orders have lines"
    lines = facts.cart.lines
    scopes = [rule.applicability for rule in rules if rule.applicability is not None]
    chosen = [leaf.discounts for rule in rules for leaf in rule.leaves if leaf.discounts]
    return [
        index
        for index, line in enumerate(lines)
        if (
            not scopes or any(scope.includes_all or scope.included.covers(line) for scope in scopes)
        )
        and not any(scope.excluded.covers(line) for scope in scopes)
        and (not chosen or any(selects(line, facts.now) for selects in chosen))
    ]


# -- asking -------------------------------------------------------------------------------------------


Verdicts = Sequence[str | None]
"""What each rule said: None where it holds, else the key of the refusal."""


def verdicts_of(rule: CompiledRule, facts: Facts) -> Verdicts:
    """Ask every rule, before the redeemable changes the order; limits are taken to hold."""
    return [leaf.test(facts) for leaf in rule.leaves]


def verdicts_after(rule: CompiledRule, verdicts: Verdicts, facts: Facts, spent: Spent) -> Verdicts:
    """Ask again those that can only be asked after pricing."""
    if not rule.after:
        return verdicts
    said = list(verdicts)
    for place, test in rule.after:
        if said[place] is None and not test(facts, spent):
            said[place] = rule.leaves[place].violation
    return said


def violation_of(rule: CompiledRule, verdicts: Verdicts) -> Violation | None:
    """Decide by everything that does not count; names the rule that is to blame."""
    own = [key is None for key in verdicts]
    if rule.decide(own):
        return None
    place = culprit(rule.decide, own, rule.reading)
    return _violation_at(rule, place, verdicts[place] or "")


def _violation_at(rule: CompiledRule, place: int, key: str) -> Violation:
    return Violation(key, rule.id, rule.leaves[place].message or rule.message)


Judge = Callable[[Facts], Violation | None]


def judge_of(rule: CompiledRule) -> Judge:
    """Return what decides by everything that does not count, and names the rule that is to blame."""
    if rule.required is None:
        return lambda facts: violation_of(rule, verdicts_of(rule, facts))
    tests = [(rule.leaves[place].test, _Violations(rule, place)) for place in rule.required]

    def judge(facts: Facts) -> Violation | None:
        for test, violations in tests:
            key = test(facts)
            if key is not None:
                return violations[key]
        return None

    return judge


class _Violations(dict[str, Violation]):
    """What a leaf's refusals come to, by their keys, each put together once."""

    def __init__(self, rule: CompiledRule, place: int) -> None:
        super().__init__()
        self._rule, self._place = rule, place

    def __missing__(self, key: str) -> Violation:
        violation = self[key] = _violation_at(self._rule, self._place, key)
        return violation


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
    if rule.decide(plain):
        return []
    possible = [(index, limit) for index, limit in rule.limits if verdicts[index] is None]
    roomy = {index for index, limit in possible if has_room(limit)}
    if not rule.decide([holds or index in roomy for index, holds in enumerate(plain)]):
        # By our view it cannot hold. Only the ledger may say so: it gets all of them.
        roomy = {index for index, _ in possible}
    return [(rule.leaves[index], limit) for index, limit in possible if index in roomy]
