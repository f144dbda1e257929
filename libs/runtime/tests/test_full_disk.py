"""No room left under Postgres: callers are told at once, and what they sent is kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import counter_service as counter
import pytest
from counter_service import Count

from contracts.messages import Reply
from runtime import limits
from runtime.batches import Record
from runtime.inbox import Consumer
from runtime.settings import Settings
from runtime.testing.harness import MemoryBus
from runtime.testing.records import record_of


def _command(number: int, partition: int) -> Record:
    place = ("catalog.commands", partition)
    return record_of(Count(name="a", by=1), place, number, message_id=f"c{number}")


async def test_callers_are_told_and_their_commands_are_fetched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = counter.build(Settings())
    service.bus = bus = MemoryBus()
    commands: Any = next(one for one in service.consumers if one.name == "commands")
    sought: list[tuple[tuple[str, int], int]] = []

    async def fail(records: Sequence[Record], **_: Any) -> None:
        message = "could not extend file"
        raise asyncpg.DiskFullError(message)

    monkeypatch.setattr(commands, "_once", fail)
    monkeypatch.setattr(Consumer, "_seek", lambda _, place, offset: sought.append((place, offset)))
    monkeypatch.setattr(limits, "STORAGE_FULL_PAUSE_S", 0.0)
    async with asyncio.timeout(30):
        await commands.take([_command(7, 0), _command(8, 0), _command(3, 1)])
    replies = [Reply.from_json(one.value) for one in bus.sent]
    assert [one.key for one in bus.sent] == ["c7", "c8", "c3"]
    assert {(one.status, one.error and one.error.key) for one in replies} == {(503, "storage_full")}
    assert all(one.retry_after_s for one in replies)
    assert dict(sought) == {("catalog.commands", 0): 7, ("catalog.commands", 1): 3}
