"""Every choice that a merchant has is in one case at least of ``services/engine/tests/cases``.

Counted from the tables of the code that decides, so that a new rule name, operator, effect, cap, stacking
field, reason, scenario or formula function without a case fails here.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
import yaml

from campaigns.domain.rule import INNER_KINDS, RULE_KINDS
from contracts.engine import Scenario
from contracts.formulas import language
from contracts.stacking import DEFAULT_STACKING_RULES
from engine.domain.applicable import COUNTERS, EFFECTS, LINE_CAPS
from engine.domain.discounts import UNIT_EFFECTS
from engine.domain.effects import LINE_EFFECTS, ORDER_EFFECTS
from engine.domain.refusals import MESSAGES, SKIPPED
from tests.system import ROOT

CASES = ROOT / "services" / "engine" / "tests" / "cases"
WORDS = re.compile(r"[A-Za-z_][A-Za-z_.]*")


def inside(value: Any) -> Iterator[Any]:
    """Yield the value and all that is in it."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


@cache
def cases() -> list[dict[str, Any]]:
    found = []
    for path in sorted(CASES.rglob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            found.append({**case, "given": {**document.get("given", {}), **case.get("given", {})}})
    assert len(found) > 300, "the cases are where they were"
    return found


@cache
def objects() -> list[dict[str, Any]]:
    """Everything that is given or asked, piece by piece."""
    both = [(case["given"], case["when"]) for case in cases()]
    return [one for pair in both for part in pair for one in inside(part) if isinstance(one, dict)]


def texts_answered() -> set[str]:
    return {one for case in cases() for one in inside(case["then"]) if isinstance(one, str)}


def rule_names() -> set[str]:
    return {
        str(one.get("name"))
        for one in objects()
        if "conditions" in one or "." in str(one.get("name"))
    }


def operators_of(name: str) -> set[str]:
    found = set()
    for one in objects():
        if one.get("name") == name and isinstance(one.get("conditions"), dict):
            found |= set(one["conditions"])
    return found


def discounts() -> set[tuple[str, str]]:
    return {(str(one.get("type")), str(one.get("effect"))) for one in objects()}


def formula_words() -> set[str]:
    formulas = [
        str(value)
        for one in objects()
        for name, value in one.items()
        if str(name).endswith("_formula")
    ]
    outside_of_texts = [re.sub(r'"[^"]*"', " ", formula) for formula in formulas]
    signs = {sign for text in outside_of_texts for sign in re.findall(r"[-+*/%×÷]|[<>=!]+", text)}
    return signs | {word.upper() for text in outside_of_texts for word in WORDS.findall(text)}


def stacking_words() -> set[tuple[str, str]]:
    given = [case["given"].get("stacking_rules") or {} for case in cases()]
    return {(name, str(value)) for rules in given for name, value in rules.items()}


OPERATORS = sorted(
    {
        operator
        for kind in (*RULE_KINDS.values(), *INNER_KINDS.values())
        for operator in kind.operators
    }
)


@pytest.mark.parametrize("name", sorted({*RULE_KINDS, *INNER_KINDS}))
def test_rule_names(name: str) -> None:
    assert name in rule_names()


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator: str) -> None:
    assert any(operator in operators_of(name) for name in {*RULE_KINDS, *INNER_KINDS})


@pytest.mark.parametrize("effect", sorted({*ORDER_EFFECTS, *LINE_EFFECTS}))
def test_effects(effect: tuple[str, str]) -> None:
    assert effect in discounts()


@pytest.mark.parametrize("effect", sorted(UNIT_EFFECTS))
def test_effects_on_units(effect: str) -> None:
    assert effect in {name for _, name in discounts()}


@pytest.mark.parametrize("effect", sorted(EFFECTS))
def test_application_rules(effect: str) -> None:
    assert any(one.get("effect") == effect and "object" in one for one in objects())


@pytest.mark.parametrize("name", [*LINE_CAPS, *COUNTERS, *(f"{cap}_formula" for cap in LINE_CAPS)])
def test_caps(name: str) -> None:
    assert any(name in one and "object" in one for one in objects())


@pytest.mark.parametrize("name", sorted(DEFAULT_STACKING_RULES))
def test_stacking_fields(name: str) -> None:
    assert any(name == field for field, value in stacking_words()), "set to what is no default"


@pytest.mark.parametrize("reason", sorted(SKIPPED))
def test_reasons_to_skip(reason: str) -> None:
    assert reason in texts_answered()


@pytest.mark.parametrize("key", sorted(MESSAGES))
def test_refusals(key: str) -> None:
    assert key in texts_answered()


@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_scenarios(scenario: str) -> None:
    asked = [case["when"] for case in cases() if case["when"].get("do") == "qualify"]
    assert any(when.get("scenario", "ALL") == scenario for when in asked)


@pytest.mark.parametrize(
    "word", sorted({*language.FUNCTIONS, *language.VARIABLES, *language.METADATA, *language.INFIX})
)
def test_formula_words(word: str) -> None:
    assert word in formula_words()
