"""What was just written, so that reads of it wait for the read model. Bounded and short-lived."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from contracts.messages import Position
from gateway import limits

DEFINITIONS = {"campaigns", "catalog", "gateway", "webhooks", "distribution"}
"""Services whose writes are rare, and concern everybody in the project."""
EVERYTHING = "*"
Newest = dict[tuple[str, int], int]


class OwnWrites:
    """The newest positions per project and per thing (a code, a customer, an order)."""

    def __init__(self) -> None:
        self._newest: OrderedDict[tuple[str, str], Newest] = OrderedDict()

    def remember(
        self, project_id: str, service: str, positions: Iterable[Position], scopes: Sequence[str]
    ) -> None:
        """Remember a command's writes under its scopes."""
        common = ["definitions"] if service in DEFINITIONS else []
        for scope in (EVERYTHING, *common, *scopes):
            newest = self._newest.setdefault((project_id, scope), {})
            for owner, partition, position in positions:
                newest[owner, partition] = max(position, newest.get((owner, partition), 0))
            self._newest.move_to_end((project_id, scope))
        while len(self._newest) > limits.REMEMBERED_WRITES_MAX:
            self._newest.popitem(last=False)

    def of(self, project_id: str, scopes: Sequence[str]) -> list[Position]:
        """Return what a read of the scopes waits for; definitions always."""
        found: Newest = {}
        for scope in ("definitions", *scopes):
            for place, position in self._newest.get((project_id, scope), {}).items():
                found[place] = max(position, found.get(place, 0))
        return [Position(service, part, at) for (service, part), at in found.items()]
