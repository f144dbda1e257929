"""Waiting until this service's read models have applied what somebody wrote."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping

from contracts.errors import Unavailable
from contracts.messages import Position

Key = tuple[str, int]
"""A partition of a service's log."""
ReadStored = Callable[[Iterable[Key]], Awaitable[Mapping[Key, int]]]

POLL_S = 0.01
"""How often it is looked up how far other processes are: nobody here is told of it."""


class Positions:
    """How far the projection is. What other processes apply is read from their common database."""

    def __init__(self) -> None:
        self._applied: dict[Key, int] = {}
        self._waiting: dict[asyncio.Event, None] = {}
        """In the order of their coming: the simulation repeats a run step by step."""
        self._waiters = 0
        self._awaited = asyncio.Event()
        self.read_stored: ReadStored | None = None

    def owned(self, positions: Mapping[Key, int]) -> None:
        """These partitions are applied by this process, so far up to here."""
        self._applied.update(positions)
        self._wake()

    def lost(self, keys: Iterable[Key]) -> None:
        """These partitions may be applied by another process now."""
        for key in keys:
            self._applied.pop(key, None)
        self._wake()

    def applied(self, positions: Mapping[Key, int]) -> None:
        """A batch was committed."""
        for key, position in positions.items():
            if position > self._applied.get(key, -1):
                self._applied[key] = position
        self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def has(self, positions: Iterable[Position]) -> bool:
        """Whether this process itself has applied them all."""
        return all(self._applied.get((p.service, p.partition), -1) >= p.position for p in positions)

    async def wait(self, positions: Iterable[Position], timeout_s: float) -> None:
        """Return when all are applied; raises ``Unavailable`` when that takes too long."""
        wanted = list(positions)
        if self.has(wanted):
            return
        self._waiters += 1
        self._awaited.set()
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._reached(wanted):
                    await self._next_batch(wanted)
        except TimeoutError:
            message = "what was just written is not yet readable"
            raise Unavailable(message) from None
        finally:
            self._waiters -= 1
            if not self._waiters:
                self._awaited.clear()

    async def rest(self, seconds: float) -> None:
        """Do nothing for so long, or until somebody waits for what a projection would apply."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awaited.wait()

    async def _reached(self, wanted: list[Position]) -> bool:
        elsewhere = [p for p in wanted if (p.service, p.partition) not in self._applied]
        if elsewhere:
            if self.read_stored is None:
                return False
            stored = await self.read_stored([(p.service, p.partition) for p in elsewhere])
            if any(stored.get((p.service, p.partition), -1) < p.position for p in elsewhere):
                return False
        # Those that were owned before that look: one that was taken away meanwhile is looked up next time.
        return self.has(p for p in wanted if p not in elsewhere)

    async def _next_batch(self, wanted: list[Position]) -> None:
        if self.has(wanted):
            return  # they became ours while we looked elsewhere
        are_ours = all((p.service, p.partition) in self._applied for p in wanted)
        event = asyncio.Event()
        self._waiting[event] = None
        try:
            async with asyncio.timeout(None if are_ours else POLL_S):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiting.pop(event, None)
