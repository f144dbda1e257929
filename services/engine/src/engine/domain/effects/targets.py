"""Which units of which lines an item discount may touch: application rules first, then caps on units."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from engine import limits
from engine.domain.applicable import (
    FROM_CHEAPEST,
    FROM_MOST_EXPENSIVE,
    TO_CHEAPEST,
    TO_MOST_EXPENSIVE,
    Entry,
)
from engine.domain.formulas import Asked, unit_price
from engine.domain.order import Line

_SIGN = {TO_CHEAPEST: 1, FROM_CHEAPEST: 1, TO_MOST_EXPENSIVE: -1, FROM_MOST_EXPENSIVE: -1}

Place = tuple[int, Line]
"""A line and its index in the order."""


class Target(NamedTuple):
    """Units of one line that may be discounted."""

    place: int
    """Index of the line in the order."""
    line: Line
    entry: Entry
    units: int
    numbers: range | None = None
    """Which units they are, from 1, where the application rule counts units."""

    @property
    def is_whole(self) -> bool:
        """Say whether all of the line may be discounted."""
        return self.units >= self.line.quantity

    def share_of(self, amount: int) -> int:
        """Return the part of the line's amount that belongs to these units, rounded down."""
        return amount if self.is_whole else amount * self.units // self.line.quantity


class Budgets:
    """Units that are left under each cap that spans lines, and how many were taken of the counters."""

    def __init__(
        self, asked: Asked, scale: int, left_of: Callable[[Entry, Line], Mapping[str, int]]
    ) -> None:
        self.asked = asked
        self.scale = scale
        self.left_of = left_of
        self.left: dict[str, int] = {}

    def units_of(self, entry: Entry, target: Target) -> int:
        """Return how many of the target's units its caps allow, and count them."""
        units = target.units
        per_line = entry.caps.get("quantity_limit")
        if per_line is not None:
            units = min(units, self.asked.on(target.line).quantity(per_line) * self.scale)
        names = []
        together = entry.caps.get("aggregated_quantity_limit")
        if together is not None:
            name = f"entry/{id(entry)}"
            if name not in self.left:
                self.left[name] = self.asked.quantity(together) * self.scale
            names.append(name)
        for account, left in self.left_of(entry, target.line).items():
            self.left.setdefault(account, left)
            names.append(account)
        units = max(0, min(units, *(self.left[name] for name in names))) if names else units
        for name in names:
            self.left[name] -= units
        return units


def select(grouped: Mapping[int, tuple[Entry, Sequence[Place]]], budgets: Budgets) -> list[Target]:
    """Return the targets in the order in which they are discounted."""
    targets: list[Target] = []
    units_in_order = sum(line.quantity for _, places in grouped.values() for _, line in places)
    is_numbered = units_in_order <= limits.UNITS_NUMBERED_MAX
    for entry, places in grouped.values():
        chosen = _chosen(entry, places)
        if entry.is_bounded:
            chosen = [_cut(one, budgets.units_of(entry, one)) for one in chosen]
        if not is_numbered:
            chosen = [one._replace(numbers=None) for one in chosen]
        targets.extend(one for one in chosen if one.units or not one.line.quantity)
    return targets


def _cut(target: Target, units: int) -> Target:
    numbers = target.numbers[:units] if target.numbers is not None else None
    return target._replace(units=units, numbers=numbers)


def _chosen(entry: Entry, places: Sequence[Place]) -> list[Target]:
    if entry.takes_all:
        return [Target(index, line, entry, line.quantity) for index, line in places]
    sign = _SIGN.get(entry.effect)
    if sign is not None:
        places = sorted(
            places, key=lambda place: (sign * unit_price(place[1]), place[1].subtotal, place[0])
        )
    is_one = entry.effect in {TO_CHEAPEST, TO_MOST_EXPENSIVE}
    if entry.is_per_unit:
        return _chosen_units(entry, places, is_one=is_one)
    end = entry.skip_initially + 1 if is_one else len(places)
    chosen = places[entry.skip_initially : end : entry.repeat]
    return [Target(index, line, entry, line.quantity) for index, line in chosen]


def _chosen_units(entry: Entry, places: Sequence[Place], *, is_one: bool) -> list[Target]:
    """Count units through the lines: the first after the skip, and every ``repeat``-th from there."""
    targets = []
    before = 0
    for index, line in places:
        end = before + line.quantity
        first = entry.skip_initially
        if first < before:
            first += -(-(before - first) // entry.repeat) * entry.repeat
        last = min(end, entry.skip_initially + 1) if is_one else end
        numbers = range(first - before + 1, last - before + 1, entry.repeat)
        if numbers:
            targets.append(Target(index, line, entry, len(numbers), numbers))
        before = end
    return targets
