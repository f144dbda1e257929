"""Consumers of events rest between batches, unless they are behind or somebody waits for them."""

import asyncio
from collections.abc import Sequence

from contracts.messages import Position
from runtime import limits
from runtime.batches import Record
from runtime.inbox import Consumer
from runtime.positions import Positions
from runtime.settings import Settings

LONG_S = 3600.0
WRITTEN = Position("ledger", 0, 7)


class Host:
    """What a consumer needs of its service when it does nothing."""

    name = "engine"
    settings = Settings(event_batch_interval_s=LONG_S)

    def __init__(self) -> None:
        self.positions = Positions()


class Idle(Consumer):
    """Takes its batches without doing anything."""

    def __init__(self, host: Host) -> None:
        super().__init__("projection", ())
        self._host = host  # type: ignore[assignment]

    async def take(self, records: Sequence[Record]) -> None:
        """Nothing."""


def records(count: int) -> list[Record]:
    return [Record("ledger.events", 0, offset, None, b"", ()) for offset in range(count)]


async def rested(task: "asyncio.Task[None]") -> bool:
    """Whether the task still does nothing after everybody else had a turn."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_a_consumer_rests_until_somebody_waits_for_what_it_applies() -> None:
    host = Host()
    taking = asyncio.create_task(Idle(host).take_paced(records(1)))
    assert await rested(taking)
    reader = asyncio.create_task(host.positions.wait([WRITTEN], LONG_S))
    async with asyncio.timeout(30):
        await taking
    again = asyncio.create_task(Idle(host).take_paced(records(1)))
    async with asyncio.timeout(30):
        await again
    host.positions.owned({("ledger", 0): 7})
    async with asyncio.timeout(30):
        await reader
    resting = asyncio.create_task(Idle(host).take_paced(records(1)))
    assert await rested(resting)
    resting.cancel()


async def test_a_consumer_that_is_behind_does_not_rest() -> None:
    async with asyncio.timeout(30):
        await Idle(Host()).take_paced(records(limits.BACKLOG_RECORDS))


async def test_a_read_that_need_not_wait_disturbs_nobody() -> None:
    host = Host()
    host.positions.owned({("ledger", 0): 7})
    taking = asyncio.create_task(Idle(host).take_paced(records(1)))
    await host.positions.wait([WRITTEN], LONG_S)
    assert await rested(taking)
    taking.cancel()
