"""BEST_DEAL against every order there is, and its bound."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import limits
from engine.domain.best_deal import BOUNDED, EXACT, Worth, best_order
from engine.domain.order import State
from engine.domain.stack import Outcome, apply_stack
from engine.testing import make_snapshot


def discount(**sent: Any) -> dict[str, Any]:
    effect = sent.pop("effect", "APPLY_TO_ORDER")
    return {"type": "DISCOUNT_VOUCHER", "discount": {"effect": effect, **sent}}


DEFINITIONS = st.one_of(
    st.integers(1, 100).map(lambda n: discount(type="PERCENT", percent_off=n)),
    st.integers(1, 4000).map(lambda n: discount(type="AMOUNT", amount_off=n)),
    st.integers(1, 100).map(lambda n: discount(type="PERCENT", percent_off=n, amount_limit=300)),
    st.integers(1, 50).map(
        lambda n: discount(type="PERCENT", percent_off=n, effect="APPLY_TO_ITEMS")
    ),
    st.integers(1, 900).map(
        lambda n: discount(type="AMOUNT", amount_off=n, effect="APPLY_TO_ITEMS")
    ),
)
CODES = st.lists(
    st.tuples(DEFINITIONS, st.one_of(st.none(), st.integers(0, 6000))), min_size=1, max_size=4
)
ITEMS = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3)), min_size=1, max_size=3)


def outcome_of(codes: Any, items: Any, order: Any, **rules: Any) -> Outcome:
    """Apply the codes in this order; ``least`` is a rule on what is left of the order."""
    vouchers, made = {}, []
    for number, (definition, least) in enumerate(codes):
        vouchers[f"C{number}"] = {"definition": definition, "rules": []}
        if least is not None:
            made.append(
                {
                    "id": f"val_{number}",
                    "rules": {"1": {"name": "order.amount", "conditions": {"$more_than": [least]}}},
                }
            )
            vouchers[f"C{number}"]["rules"] = [f"val_{number}"]
    request = {
        "redeemables": [{"object": "voucher", "id": f"C{number}"} for number in order],
        "order": {
            "items": [
                {"product_id": f"prod_{n}", "price": price, "quantity": quantity}
                for n, (price, quantity) in enumerate(items)
            ]
        },
    }
    given_ = {"vouchers": vouchers, "rules": made, "stacking_rules": rules}
    return apply_stack(make_snapshot(given_, {"request": request}), must_suffice=True)


def worth(outcome: Outcome) -> tuple[bool, int]:
    return outcome.is_valid, sum(step.taken for step in outcome.applied)


@settings(max_examples=60, deadline=None)
@given(CODES, ITEMS, st.sampled_from(["ALL", "PARTIAL"]), st.integers(1, 4))
def test_no_order_is_better(codes: Any, items: Any, mode: str, most: int) -> None:
    rules = {"redeemables_application_mode": mode, "applicable_redeemables_limit": most}
    places = range(len(codes))
    best = outcome_of(codes, items, places, redeemables_sorting_rule="BEST_DEAL", **rules)
    every = [
        worth(outcome_of(codes, items, order, **rules)) for order in itertools.permutations(places)
    ]
    assert best.search == EXACT
    if best.is_valid or any(is_valid for is_valid, _ in every):
        assert worth(best) == max(every)


class Sums:
    """A trial whose worth depends on the order: element n counts ``values[n]`` times its place."""

    def __init__(self, values: list[int]) -> None:
        self.values = values
        self.taken: tuple[int, ...] = ()
        self.steps = 0

    def take(self, index: int) -> None:
        self.taken = (*self.taken, index)
        self.steps += 1

    def save(self) -> tuple[int, ...]:
        return self.taken

    def restore(self, saved: tuple[int, ...]) -> None:
        self.taken = saved

    @property
    def worth(self) -> Worth:
        deal = sum(self.values[index] * place for place, index in enumerate(self.taken))
        return Worth(is_valid=True, deal=deal, taken=0)

    @property
    def is_dead(self) -> bool:
        return False

    @property
    def state(self) -> tuple[int, ...]:
        return self.taken


@pytest.mark.parametrize("count", range(1, 7))
def test_every_order_of_six_is_looked_at(count: int) -> None:
    values = [(7 * n) % 11 for n in range(count)]
    trial = Sums(values)
    found = best_order(trial, [range(count)], [range(count)], limits.BEST_DEAL_STEPS_MAX)
    expected = max(
        sum(values[index] * place for place, index in enumerate(order))
        for order in itertools.permutations(range(count))
    )
    assert found.search == EXACT
    assert sum(values[index] * place for place, index in enumerate(found.order)) == expected


@pytest.mark.parametrize(("count", "steps_max"), [(30, 2000), (30, 80), (12, 2000), (7, 2000)])
def test_the_search_is_bounded_in_steps_and_says_so(count: int, steps_max: int) -> None:
    values = [(7 * n) % 31 for n in range(count)]
    trial = Sums(values)
    requested = list(range(count))
    found = best_order(trial, [requested], [requested], steps_max)
    assert found.search == BOUNDED
    assert trial.steps <= steps_max + count
    assert sorted(found.order) == requested
    trial.restore(())
    plain = sum(values[index] * place for place, index in enumerate(requested))
    assert sum(values[index] * place for place, index in enumerate(found.order)) >= plain


def test_groups_keep_their_turn() -> None:
    trial = Sums([1, 9, 5, 3])
    found = best_order(trial, [[1, 3], [0, 2]], [[1, 3, 0, 2]], 2000)
    assert set(found.order[:2]) == {1, 3}
    assert found == ((3, 1, 0, 2), EXACT)


def test_orders_that_come_to_the_same_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven amounts commute: there are 2^7 states and not 7! orders."""
    codes = [(discount(type="AMOUNT", amount_off=n + 1), None) for n in range(7)]
    rules = {"redeemables_sorting_rule": "BEST_DEAL", "applicable_redeemables_limit": 30}
    assert outcome_of(codes, [(5000, 1)], range(7), **rules).search == EXACT
    monkeypatch.setattr(State, "frozen", lambda _: object())
    assert outcome_of(codes, [(5000, 1)], range(7), **rules).search == BOUNDED


def test_a_large_stack_is_never_worse_than_requested() -> None:
    kinds = [
        discount(type="AMOUNT", amount_off=40),
        discount(type="PERCENT", percent_off=3),
        discount(type="PERCENT", percent_off=4, effect="APPLY_TO_ITEMS"),
    ]
    codes = [(kinds[n % 3], None) for n in range(30)]
    items = [(1000 + n, 2) for n in range(10)]
    rules = {"applicable_redeemables_limit": 30}
    plain = outcome_of(codes, items, range(30), **rules)
    best = outcome_of(codes, items, range(30), redeemables_sorting_rule="BEST_DEAL", **rules)
    assert best.search == BOUNDED
    assert worth(best) > worth(plain)
