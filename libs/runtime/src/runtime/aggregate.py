"""An aggregate: the name of its streams, the type of its state, and how events change it."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from contracts.messages import Event

S = TypeVar("S", bound=BaseModel)

AGGREGATES: dict[tuple[str, str], "Aggregate[Any]"] = {}
"""All that were imported, by (service, name): the audit folds their streams again."""


class Aggregate(Generic[S]):
    """Stream ``<name>-<id>``; ``evolve(state or None, event)`` returns the next state.

    It belongs to the ``service`` whose ``evolve`` it is, unless another one is named.
    """

    def __init__(
        self,
        name: str,
        state_type: type[S],
        evolve: Callable[[S | None, Any], S],
        *,
        service: str = "",
    ) -> None:
        self.name = name
        self.state_type = state_type
        self.evolve: Callable[[S | None, Event], S] = evolve
        AGGREGATES[service or evolve.__module__.partition(".")[0], name] = self

    def stream(self, aggregate_id: str) -> str:
        """Return the stream's id."""
        return f"{self.name}-{aggregate_id}"
