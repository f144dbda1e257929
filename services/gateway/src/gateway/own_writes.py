"""What was just written, so that reads of it wait for the read model. Bounded and short-lived."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from contracts.messages import Position
from gateway import limits

DEFINITIONS = {"campaigns", "catalog", "gateway", "webhooks", "distribution"}
"""Services whose writes are rare, and concern everybody in the project."""
EVERYTHING = "*"
NO_PROJECT = ""


class _Newest(NamedTuple):
    positions: dict[tuple[str, int], int]
    forget_at: float


class OwnWrites:
    """The newest positions per project and per thing (a code, a customer, an order)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._newest: OrderedDict[tuple[str, str], _Newest] = OrderedDict()

    def __len__(self) -> int:
        return len(self._newest)

    def remember(
        self, project_id: str, service: str, positions: Sequence[Position], scopes: Iterable[str]
    ) -> None:
        """Remember a command's writes under its scopes."""
        if not positions:
            return
        common = ["definitions"] if service in DEFINITIONS else []
        forget_at = self._now() + limits.REMEMBERED_WRITES_S
        places = [(project_id, scope) for scope in (EVERYTHING, *common, *scopes)]
        if service == "gateway":  # the list of projects belongs to none of them
            places.append((NO_PROJECT, "definitions"))
        for place in places:
            known = self._newest.pop(place, None)
            newest = known.positions if known is not None else {}
            for owner, partition, position in positions:
                newest[owner, partition] = max(position, newest.get((owner, partition), 0))
            self._newest[place] = _Newest(newest, forget_at)
        self._forget()

    def knows(self, project_id: str, scope: str) -> bool:
        """Whether anything was written under the scope of late."""
        known = self._newest.get((project_id, scope))
        return known is not None and known.forget_at > self._now()

    def _forget(self) -> None:
        # The oldest stand first, and all live equally long.
        now = self._now()
        while self._newest:
            oldest = next(iter(self._newest.values()))
            if oldest.forget_at > now and len(self._newest) <= limits.REMEMBERED_WRITES_MAX:
                return
            self._newest.popitem(last=False)

    def of(self, project_id: str, scopes: Iterable[str]) -> list[Position]:
        """Return what a read of the scopes waits for; definitions always."""
        found: dict[tuple[str, int], int] = {}
        now = self._now()
        for scope in ("definitions", *scopes):
            known = self._newest.get((project_id, scope))
            if known is None or known.forget_at <= now:
                continue
            for place, position in known.positions.items():
                found[place] = max(position, found.get(place, 0))
        return [Position(service, part, at) for (service, part), at in found.items()]
