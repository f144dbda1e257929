"""A percentage off what is left (or off the initial price), rounded half up once at its level."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from contracts import money
from engine.domain.discounts import Discount
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
    if work.discount.off.is_per_line or not all(target.is_whole for target in work.targets):
        wanted = _of_parts(work)
    else:
        wanted = money.percentage(_percent(work, work.asked))(work.bases)
    if limit is None:
        return wanted
    return [min(one, limit * work.scale) for one in wanted]


def of_whole_lines(discount: Discount) -> Callable[..., list[int]]:
    """Return what takes a percentage that is a number off whole lines."""
    of_each, most = money.percentage(discount.off.percent), discount.amount_limit

    def take(bases: Sequence[int], left: Sequence[int], _units: Sequence[int]) -> list[int]:
        wanted = of_each(bases)
        if most is not None:
            wanted = [min(one, most) for one in wanted]
        # A part of what is left is never more than that.
        return wanted if bases is left else list(map(min, wanted, left))

    return take


def _percent(work: Work, asked: Asked) -> Fraction:
    percent = asked.percent(work.discount.off)
    return percent if work.scale == 1 else min(percent * work.scale, PERCENT_MAX)


def _of_parts(work: Work) -> list[int]:
    """Units of a line share its exact percentage, which is rounded once; it may differ from line to line."""
    wanted = []
    for place, units, base in zip(work.places, work.units, work.bases, strict=True):
        line = work.cart.lines[place]
        percent = _percent(work, work.asked.on(line))
        if units >= line.quantity:
            wanted.append(money.percent_of(base, percent))
        else:
            whole = line.amount if work.is_initial else line.subtotal
            part = Fraction(whole * units, line.quantity)
            wanted.append(money.round_half_up(part * percent / 100))
    return wanted
