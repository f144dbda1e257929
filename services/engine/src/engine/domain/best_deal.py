"""BEST_DEAL: finds the order of application that is best for the customer.

A layered search: layer n has every state that n redeemables can lead to. Orders that lead to the same
state are one, so that amounts, which commute, do not multiply. When a layer has more states than the
remaining steps allow, the best are kept and the answer says BOUNDED; when none ever was dropped it says
EXACT. The bound is a number of steps, never a time: the same request always gets the same answer.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol

EXACT, BOUNDED = "EXACT", "BOUNDED"
SMALL = 6
"""Redeemables of which all orders fit into the steps."""


class Worth(NamedTuple):
    """What an order is worth, most important first."""

    is_valid: bool
    deal: int
    """What discounts take off, without credits that the customer has paid for."""
    taken: int
    """All that is taken off."""


class Trial(Protocol):
    """A run through the stack that can go back."""

    def take(self, index: int) -> None:
        """Apply the redeemable with this index next."""

    def save(self) -> Any:
        """Return where the run is."""

    def restore(self, saved: Any) -> None:
        """Go back, or over, to where a run was."""

    @property
    def worth(self) -> Worth:
        """What the run has come to."""

    @property
    def is_dead(self) -> bool:
        """Whether nothing can make it valid any more."""

    @property
    def state(self) -> Hashable:
        """Equal for two runs of one worth only when the rest goes the same way for both."""


class Found(NamedTuple):
    """The best order found, and whether none is better."""

    order: tuple[int, ...]
    search: str


class _Node(NamedTuple):
    order: tuple[int, ...]
    saved: Any
    worth: Worth


class _Search:
    """One search; counts its steps."""

    def __init__(self, trial: Trial, groups: Sequence[Sequence[int]], steps_max: int) -> None:
        self.trial = trial
        self.groups = groups
        self.left = steps_max
        size = sum(len(group) for group in groups)
        # What the layers may not use is for swapping neighbours; a small stack needs no swapping.
        self.reserve = steps_max // 4 if size > SMALL else 0
        self.start = trial.save()
        self.best: tuple[Worth, tuple[int, ...]] | None = None

    def consider(self, order: tuple[int, ...]) -> bool:
        """Run an order as a whole; says whether it is better than all before."""
        self.trial.restore(self.start)
        for index in order:
            self.trial.take(index)
        self.left -= len(order)
        return self.offer(self.trial.worth, order)

    def offer(self, worth: Worth, order: tuple[int, ...]) -> bool:
        """Keep the order if it is better; of equal ones the first stays."""
        if self.best is not None and worth <= self.best[0]:
            return False
        self.best = (worth, order)
        return True

    def spread(self) -> bool:
        """Search layer by layer; says whether every order was looked at."""
        size = sum(len(group) for group in self.groups)
        layer = [_Node((), self.start, Worth(is_valid=False, deal=0, taken=0))]
        is_complete = True
        for depth in range(size):
            rest = (size - depth) * (size - depth + 1) // 2
            width = (self.left - self.reserve) // rest
            if width < 1:
                return False
            if len(layer) > width:
                layer = sorted(layer, key=lambda node: node.worth, reverse=True)[:width]
                is_complete = False
            layer = self._next(layer)
        for node in layer:
            self.offer(node.worth, node.order)
        return is_complete

    def _next(self, layer: Sequence[_Node]) -> list[_Node]:
        found: dict[Hashable, _Node] = {}
        for node in layer:
            for index in self._open(node.order):
                self.trial.restore(node.saved)
                self.trial.take(index)
                self.left -= 1
                if self.trial.is_dead:
                    continue
                order, worth = (*node.order, index), self.trial.worth
                key = (frozenset(order), worth, self.trial.state)
                if key not in found:
                    found[key] = _Node(order, self.trial.save(), worth)
        return list(found.values())

    def _open(self, order: tuple[int, ...]) -> list[int]:
        """Return what may come next: the rest of the first group that has any."""
        for group in self.groups:
            rest = [index for index in group if index not in order]
            if rest:
                return rest
        return []

    def improve(self) -> None:
        """Swap neighbours while that helps and steps are left."""
        is_better = True
        while is_better and self.best is not None:
            is_better = False
            for order in self._swapped(self.best[1]):
                if self.left < len(order):
                    return
                is_better = self.consider(order) or is_better

    def _swapped(self, order: tuple[int, ...]) -> list[tuple[int, ...]]:
        group_of = {index: n for n, group in enumerate(self.groups) for index in group}
        found = []
        for place in range(len(order) - 1):
            one, other = order[place : place + 2]
            if group_of[one] == group_of[other]:
                found.append((*order[:place], other, one, *order[place + 2 :]))
        return found


def best_order(
    trial: Trial,
    groups: Sequence[Sequence[int]],
    likely: Sequence[Sequence[int]],
    steps_max: int,
) -> Found:
    """Return the best order; ``likely`` ones are tried first, whatever they cost.

    The first of equally good orders wins, so that the requested order stays where nothing is gained.
    """
    search = _Search(trial, groups, steps_max)
    for order in likely:
        search.consider(tuple(order))
    assert search.best is not None, "at least the requested order is tried"
    is_complete = search.spread()
    if not is_complete:
        search.improve()
    trial.restore(search.start)
    return Found(search.best[1], EXACT if is_complete else BOUNDED)
