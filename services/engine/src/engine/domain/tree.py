"""Rules inside rules, laid out flat.

The tree is walked with a stack of our own, when it is compiled and whenever it is asked, so that no rule
can exhaust Python's. A node holds when its own test does and the logic over the rules inside it does too.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine import limits
from engine.domain.conditions import BadConditionsError
from engine.domain.logic import Logic, parse

Decide = Callable[[Sequence[bool]], bool]
"""Gets what each node's own test said, in the order of the nodes; says whether the tree holds."""


class Node(NamedTuple):
    """One rule. ``parent`` is the place of the rule that it is inside, None at the top."""

    body: JsonObject
    parent: int | None
    path: tuple[int, ...]
    """Its place in its group, after those of the rules around it: the order of reading."""
    name: str
    """Under which it stands in its group, and which the group's logic uses."""


class Tree(NamedTuple):
    """All rules, each before those inside it, and how their verdicts decide."""

    nodes: tuple[Node, ...]
    decide: Decide


class _Group(NamedTuple):
    """The rules inside one rule, or at the top."""

    parent: int | None
    places: tuple[int, ...]
    logic: Logic


def lay_out(rules: JsonObject, has_own_rules: Callable[[JsonObject], bool]) -> Tree:
    """Return the tree of ``{"1": rule, …, "logic"}``; raises ``BadConditionsError``, ``BadLogicError``.

    ``has_own_rules`` says of which rules the rules inside are no part of this tree.
    """
    nodes: list[Node] = []
    groups: list[_Group] = []
    todo: list[tuple[JsonObject, int | None, tuple[int, ...]]] = [(_rule(rules), None, ())]
    while todo:
        inside, parent, path = todo.pop()
        names = [name for name in inside if name != "logic"]
        if len(nodes) + len(names) > limits.RULES_MAX or len(path) >= limits.RULE_LEVELS_MAX:
            raise BadConditionsError("must have fewer rules, or fewer levels")
        first = len(nodes)
        nodes.extend(
            Node(_rule(inside[name]), parent, (*path, number), name)
            for number, name in enumerate(names)
        )
        text = inside.get("logic")
        logic = parse(text if isinstance(text, str) else None, names)
        groups.append(_Group(parent, tuple(range(first, len(nodes))), logic))
        for place in range(first, len(nodes)):
            body, inner_path = nodes[place].body, nodes[place].path
            if body.get("rules") and not has_own_rules(body):
                todo.append((_rule(body["rules"]), place, inner_path))
    return Tree(tuple(nodes), _decide(groups))


def _rule(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise BadConditionsError("must be an object")
    return value


def _decide(groups: Sequence[_Group]) -> Decide:
    top, *inner = groups
    if not inner:
        return top.logic
    # A group is found before those inside it: backwards, every group's rules are already decided.
    backwards = tuple(reversed(inner))

    def decide(own: Sequence[bool]) -> bool:
        verdicts = list(own)
        for parent, places, logic in backwards:
            assert parent is not None, "only the top has no parent"
            if verdicts[parent]:
                verdicts[parent] = logic([verdicts[place] for place in places])
        return top.logic([verdicts[place] for place in top.places])

    return decide


def culprit(decide: Decide, own: Sequence[bool], reading: Sequence[int]) -> int:
    """Return the place of the first rule that is to blame: without it holding, the tree cannot.

    ``reading`` are the places in the order in which they are read. From the last to the first, those
    that may go on failing are forgiven; the first that is left is it.
    """
    granted = [True] * len(own)
    blamed = None
    for place in reversed(reading):
        if own[place]:
            continue
        granted[place] = False
        if not decide(granted):
            granted[place] = True
            blamed = place
    assert blamed is not None, "asked only about a tree that does not hold"
    return blamed
