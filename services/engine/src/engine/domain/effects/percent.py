"""A percentage off what is left (or off the initial price), rounded half up once at its level."""

from fractions import Fraction

from contracts import money
from engine.domain.effects.targets import Target
from engine.domain.effects.work import Work
from engine.domain.formulas import PERCENT_MAX, Asked


def apply_to_order(work: Work) -> int:
    """Take the percentage of the order, up to ``amount_limit``."""
    base = work.cart.amount if work.is_initial else work.cart.total
    taken = money.percent_of(base, _percent(work, work.asked))
    limit = work.discount.amount_limit
    if limit is not None:
        taken = min(taken, limit * work.scale)
    return min(taken, work.cart.total)


def apply_to_items(work: Work) -> list[int]:
    """Take the percentage of each line, up to ``amount_limit`` a line."""
    limit = work.discount.amount_limit
    is_per_line = work.discount.off.is_per_line
    percent = None if is_per_line else _percent(work, work.asked)
    wanted = [
        _of(target, work.base_of(target), percent or _percent(work, work.asked.on(target.line)))
        for target in work.targets
    ]
    if limit is None:
        return wanted
    return [min(one, limit * work.scale) for one in wanted]


def _percent(work: Work, asked: Asked) -> Fraction:
    return min(asked.percent(work.discount.off) * work.scale, PERCENT_MAX)


def _of(target: Target, base: int, percent: Fraction) -> int:
    if target.is_whole:
        return money.percent_of(base, percent)
    part = Fraction(base * target.units, target.line.quantity)
    return money.round_half_up(part * percent / 100)
