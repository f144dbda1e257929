"""Given/when/then for a pure domain: ``given(*events).when(decide).then(*events)``.

``evolve`` folds the given events into the state that ``decide`` gets.
"""

from collections.abc import Callable, Sequence
from typing import Any

from contracts.errors import DomainError
from contracts.messages import Event


class Scenario:
    """A stream's past, and what a decision makes of it."""

    def __init__(self, evolve: Callable[[Any, Any], Any], events: Sequence[Event]) -> None:
        self._evolve = evolve
        self.state: Any = None
        for event in events:
            self.state = evolve(self.state, event)
        self.events: list[Event] | None = None
        self.error: DomainError | None = None

    def when(self, decide: Callable[[Any], Sequence[Event]]) -> "Scenario":
        """Decide on the state; a refusal is kept for :meth:`then_refused`."""
        self.events, self.error = None, None
        try:
            self.events = list(decide(self.state))
        except DomainError as error:
            self.error = error
        return self

    def then(self, *expected: Event) -> "Scenario":
        """Exactly these events came of it; they are folded into the state."""
        assert self.error is None, f"refused: {self.error!r}"
        assert self.events == list(expected)
        for event in expected:
            self.state = self._evolve(self.state, event)
        return self

    def then_refused(self, key: str, mentions: str = "") -> None:
        """It was refused with this key, and nothing came of it."""
        assert self.error is not None, f"not refused: {self.events}"
        told = self.error.body()
        assert told.key == key
        assert mentions in (told.details or ""), told.details
        assert self.events is None


def given(evolve: Callable[[Any, Any], Any], *events: Event) -> Scenario:
    """Start from a stream's past."""
    return Scenario(evolve, events)
