"""Money: exact, and parts that sum to the whole."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import allocate, percent_of, percentage, round_half_up

TOTALS = st.integers(0, 10**15)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=50)


@given(TOTALS, WEIGHTS)
def test_parts_sum_to_the_whole(total, weights):
    parts = allocate(total, weights)
    assert len(parts) == len(weights)
    assert sum(parts) == (total if any(weights) else 0)


@given(TOTALS, WEIGHTS)
def test_a_part_is_its_share_rounded_up_or_down(total, weights):
    whole = sum(weights)
    for part, weight in zip(allocate(total, weights), weights, strict=True):
        share = Fraction(total * weight, whole) if whole else Fraction(0)
        assert share - 1 < part < share + 1
        assert weight > 0 or part == 0


@given(TOTALS, WEIGHTS)
def test_a_heavier_line_never_gets_less(total, weights):
    parts = allocate(total, weights)
    ranked = sorted(zip(weights, parts, strict=True))
    assert all(a[1] <= b[1] for a, b in pairwise(ranked) if a[0] < b[0])


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (300, [3300, 3400], [148, 152]),
        (100, [1, 1, 1], [34, 33, 33]),
        (2, [1, 1, 1], [1, 1, 0]),
        (10, [0, 5, 0], [0, 10, 0]),
        (7, [0, 0], [0, 0]),
        (0, [1, 2], [0, 0]),
        (1, [1, 2], [0, 1]),
    ],
)
def test_known_splits(total, weights, parts):
    assert allocate(total, weights) == parts


@given(st.fractions(0, 10**12))
def test_half_goes_up_and_the_rest_to_the_nearest(value):
    rounded = round_half_up(value)
    assert -Fraction(1, 2) < rounded - value <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("amount", "percent", "discount"),
    [
        (50350, "3", 1511),
        (103350, "3", 3101),
        (999, "50", 500),
        (10, "12.5", 1),
        (0, "99", 0),
        (100, "100", 100),
        (1, "49.999", 0),
    ],
)
def test_known_percentages(amount, percent, discount):
    assert percent_of(amount, Fraction(percent)) == discount


@given(st.integers(0, 10**12), st.fractions(0, 100))
def test_a_percentage_is_never_more_than_the_amount(amount, percent):
    assert 0 <= percent_of(amount, percent) <= amount
    assert percentage(percent)([amount, 0]) == [percent_of(amount, percent), 0]


@pytest.mark.parametrize("percent", [Fraction(whole) for whole in range(101)])
def test_a_percentage_of_many_amounts_is_that_of_each(percent):
    amounts = range(401)
    assert percentage(percent)(amounts) == [percent_of(amount, percent) for amount in amounts]


@pytest.mark.parametrize(
    "call",
    [
        lambda: allocate(-1, [1]),
        lambda: allocate(1, [-1, 2]),
        lambda: percent_of(-1, Fraction(1)),
        lambda: round_half_up(Fraction(-1)),
    ],
)
def test_nothing_negative_is_divided(call):
    with pytest.raises(AssertionError):
        call()
