"""How much consumers of events take at once, and how they rest between batches."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import asyncpg
import pytest

from contracts.messages import Position
from runtime import batches, inbox, limits
from runtime.batches import Record
from runtime.inbox import Consumer
from runtime.positions import Positions
from runtime.settings import Settings

LONG_S = 3600.0
WRITTEN = Position("ledger", 0, 7)


class Host:
    """What a consumer needs of its service when it does nothing."""

    name = "engine"
    settings = Settings(event_batch_interval_s=LONG_S, retry_delay_s=0.0)

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


def test_what_was_fetched_is_cut_where_it_is_too_much_for_one_transaction() -> None:
    half = b"x" * (limits.BATCH_BYTES_MAX // 2)
    values = [half, half, b"x", half + half + b"x", None, b""]
    fetched = [Record("a", 0, offset, None, value, ()) for offset, value in enumerate(values)]
    parts = []
    while fetched:
        part = batches.beginning(fetched, 3)
        parts.append([one.offset for one in part])
        fetched = fetched[len(part) :]
    assert parts == [[0, 1], [2], [3], [4, 5]]


class Slow(Consumer):
    """A consumer that Postgres lets go only with a few records at once."""

    def __init__(self, most: int) -> None:
        super().__init__("projection", ())
        self._host = Host()  # type: ignore[assignment]
        self._most = most
        self.now_s = 0.0
        self.tried: list[list[int]] = []

    async def _once(self, records: Sequence[Record], *, dead_because: str | None = None) -> None:
        del dead_because
        self.tried.append([one.offset for one in records])
        if len(records) > self._most:
            self.now_s += limits.BATCH_S_MAX + 1
            raise asyncpg.InterfaceError("the underlying connection is closed")


async def test_what_takes_too_long_at_once_is_taken_in_smaller_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow(most=3)
    monkeypatch.setattr(inbox, "time", SimpleNamespace(monotonic=lambda: slow.now_s))
    await slow.take(records(10))
    sizes = [len(one) for one in slow.tried]
    assert sizes == [10, 5, 2, 2, 2, 2, 2]
    done = [offset for one in slow.tried if len(one) <= 3 for offset in one]
    assert done == list(range(10)), "each once, in order"


class Behind(Slow):
    """A consumer that was set back: Postgres' offset is not where what it fetched begins."""

    async def _once(self, records: Sequence[Record], *, dead_because: str | None = None) -> None:
        del dead_because
        self.tried.append([one.offset for one in records])
        raise inbox._Gap

    async def seek_to_stored(self, places: set[batches.Place]) -> None:
        """Nothing."""


async def test_after_a_gap_nothing_more_of_what_was_fetched_is_tried() -> None:
    """The later parts would each be a gap of their own, and none be seen twice, which says it is for good."""
    behind = Behind(most=0)
    value = b"x" * limits.BATCH_BYTES_MAX
    await behind.take([one._replace(value=value) for one in records(3)])
    assert behind.tried == [[0]]
