"""An event loop whose clock jumps to the next timer: an hour of retries takes milliseconds, and two runs
of one seed do the same things in the same order."""

import asyncio
import selectors
from typing import Any


class NothingLeftToDo(Exception):
    """Everybody waits for somebody else."""


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingLeftToDo
        self._loop.moment += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else can happen."""

    def __init__(self) -> None:
        self.moment = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the seconds since the run began."""
        return self.moment
