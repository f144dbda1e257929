"""From poison to a replay: what waits, what goes on, and that order and state are right afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import counter_service as counter
import pytest
import pytest_asyncio
from counter_service import Count, Counted, Note

from contracts.catalog import IntakeRejected
from contracts.messages import Envelope
from runtime import admin, event_store
from runtime.inbox import Consumer
from runtime.settings import Settings
from runtime.testing import Harness
from runtime.testing.harness import MemoryBus

pytestmark = pytest.mark.integration

TABLES = """
CREATE TABLE IF NOT EXISTS notes (project_id text, name text);
CREATE TABLE IF NOT EXISTS counters (project_id text, name text, total bigint, doc jsonb,
    PRIMARY KEY (project_id, name));
"""


@pytest_asyncio.fixture
async def harness(
    leased_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Harness]:
    monkeypatch.setattr(counter, "POISON", {"poison"})
    settings = leased_settings.model_copy(update={"retry_delay_s": 0.0})
    async with Harness(counter.build(settings)) as running:
        async with running.service.pool.acquire() as connection:
            await connection.execute(TABLES)
        yield running


async def replay(harness: Harness) -> MemoryBus:
    """Do what ``make replay-dead-letters`` does; returns what it sent."""
    service = counter.build(harness.service.settings)
    service.bus = bus = MemoryBus()
    assert await admin.replay_service(service) == 0
    await harness.refresh()
    return bus


async def letters(harness: Harness) -> list[tuple[str, str, str]]:
    rows = await harness.rows("dead_letters")
    return [(row["consumer"], row["status"], row["stream_id"]) for row in rows]


async def test_a_command_is_answered_as_a_fault_and_has_its_effect_once_mended(
    harness: Harness,
) -> None:
    await harness.command("p1", Count(name="poison", by=1), key="other")
    reply = await harness.command("p1", Count(name="poison", by=2), key="k", fingerprint="f")
    assert (reply.status, reply.error and reply.error.key) == (500, "internal_error")
    assert (await harness.command("p1", Count(name="a", by=3))).body == {"total": 3}
    assert await letters(harness) == [("commands", "failed", "")] * 2
    assert [row["reason"] for row in await harness.rows("dead_letters")] == [
        "RuntimeError('this message breaks its handler')"
    ] * 2
    counter.POISON.clear()
    bus = await replay(harness)
    assert harness.appended == [
        Counted(name="a", by=3),
        Counted(name="poison", by=1),
        Counted(name="poison", by=2),
    ]
    assert bus.sent == [], "whoever asked has long been answered"
    again = await harness.command("p1", Count(name="poison", by=2), key="k", fingerprint="f")
    assert (again.replayed, again.body) == (True, {"total": 3})


async def test_a_retry_that_came_before_the_replay_leaves_one_effect(harness: Harness) -> None:
    await harness.command("p1", Count(name="poison", by=2), key="k", fingerprint="f")
    counter.POISON.clear()
    retried = await harness.command("p1", Count(name="poison", by=2), key="k", fingerprint="f")
    assert (retried.replayed, retried.body) == (False, {"total": 2})
    await replay(harness)
    assert harness.appended == [Counted(name="poison", by=2)]


async def test_what_a_replayed_command_wrote_goes_if_it_is_refused(harness: Harness) -> None:
    """The first of a process that has not seen its handler write: it is only then taken with a savepoint."""
    await harness.command("p1", Note(name="poison", fails=True))
    counter.POISON.clear()
    await replay(harness)
    assert await letters(harness) == []
    assert await harness.rows("notes") == []


async def _react(harness: Harness, stream: str, *names: str) -> None:
    events = [("p1", Counted(name=name, by=1)) for name in names]
    await harness.events(events, source="customers", stream=stream)


async def test_reactions_are_made_up_for_in_the_stream_s_order(harness: Harness) -> None:
    await _react(harness, "s-1", "before", "poison", "x")
    await _react(harness, "s-2", "z")
    await _react(harness, "s-1", "y")
    held = [("reactions", "failed", "s-1"), *[("reactions", "held", "s-1")] * 2]
    assert await letters(harness) == held
    assert harness.appended == [Counted(name="echo-before", by=1), Counted(name="echo-z", by=1)]
    counter.POISON.clear()
    await replay(harness)
    assert [event.name for event in harness.appended if isinstance(event, Counted)] == [
        "echo-before",
        "echo-z",
        "echo-poison",
        "echo-x",
        "echo-y",
    ]
    await _react(harness, "s-1", "after")
    assert await letters(harness) == []
    assert harness.appended[-1] == Counted(name="echo-after", by=1)


async def test_a_letter_that_still_breaks_stays_in_front_of_what_waits(harness: Harness) -> None:
    await _react(harness, "s-1", "poison", "x")
    await _react(harness, "s-2", "worse", "y")
    service = counter.build(harness.service.settings)
    service.bus = MemoryBus()
    assert await admin.replay_service(service) == 2
    assert await letters(harness) == [("reactions", "failed", "s-1"), ("reactions", "held", "s-1")]
    assert [event.name for event in harness.appended if isinstance(event, Counted)] == [
        "echo-worse",
        "echo-y",
    ]


async def test_a_projection_s_rows_are_those_of_the_whole_stream(harness: Harness) -> None:
    async def fold(stream: str, *events: tuple[str, int]) -> None:
        found = [("p1", Counted(name=name, by=by)) for name, by in events]
        await harness.events(found, source="catalog", stream=stream)

    await fold("s-1", ("a", 1), ("poison", 2), ("a", 3))
    await fold("s-2", ("b", 4))
    await fold("s-1", ("a", 5))
    assert await harness.rows("counters") == [
        {"project_id": "p1", "name": "a", "total": 1, "doc": {"last": 1}},
        {"project_id": "p1", "name": "b", "total": 4, "doc": {"last": 4}},
    ]
    counter.POISON.clear()
    await replay(harness)
    assert await harness.rows("counters") == [
        {"project_id": "p1", "name": "a", "total": 9, "doc": {"last": 5}},
        {"project_id": "p1", "name": "b", "total": 4, "doc": {"last": 4}},
        {"project_id": "p1", "name": "poison", "total": 2, "doc": {"last": 2}},
    ]


async def test_an_upstream_record_is_taken_whole_once_mended(harness: Harness) -> None:
    await harness.intake("intake.products", "p1", [{"name": "a"}, {"name": "poison"}, {"name": 7}])
    await harness.intake("intake.products", "p1", {"name": "b"})
    assert harness.appended == [Counted(name="b", by=1)], "a record is taken whole or not at all"
    assert [row[:2] for row in await letters(harness)] == [("intake", "failed")]
    counter.POISON.clear()
    await replay(harness)
    *counted, rejected = harness.appended
    assert counted == [Counted(name=name, by=1) for name in ("b", "a", "poison")]
    assert isinstance(rejected, IntakeRejected)
    assert rejected.index == 2


async def _waits_for_a_lock(harness: Harness) -> bool:
    async with harness.service.pool.acquire() as connection:
        waiting = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    return bool(waiting)


async def test_an_event_that_arrives_as_the_last_letter_is_replayed_does_not_stay_held(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event has seen its stream held back; the letter goes before the event is stored behind it."""
    await _react(harness, "s-1", "poison")
    counter.POISON.clear()
    storing, go_on = asyncio.Event(), asyncio.Event()
    store: Any = Consumer._store_dead

    async def slowly(self: Consumer, connection: Any, dead: Any) -> None:
        storing.set()
        await go_on.wait()
        await store(self, connection, dead)

    monkeypatch.setattr(Consumer, "_store_dead", slowly)
    arrival = asyncio.create_task(_react(harness, "s-1", "late"))
    await storing.wait()
    replayed = asyncio.create_task(replay(harness))
    async with asyncio.timeout(30):
        while not replayed.done() and not await _waits_for_a_lock(harness):
            await asyncio.sleep(0.01)
    go_on.set()
    await arrival
    await replayed
    assert await letters(harness) == []
    assert [event.name for event in harness.appended if isinstance(event, Counted)] == [
        "echo-poison",
        "echo-late",
    ]


async def test_an_event_that_arrives_during_a_replay_comes_after_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _react(harness, "s-1", "poison", "x")
    counter.POISON.clear()
    replaying, go_on = asyncio.Event(), asyncio.Event()
    original: Any = Consumer.replay

    async def slowly(self: Consumer, connection: Any, record: Any) -> Any:
        outcome = await original(self, connection, record)
        replaying.set()
        await go_on.wait()
        return outcome

    monkeypatch.setattr(Consumer, "replay", slowly)
    replayed = asyncio.create_task(replay(harness))
    await replaying.wait()
    arrival = asyncio.create_task(_react(harness, "s-1", "late"))
    async with asyncio.timeout(30):
        while not arrival.done() and not await _waits_for_a_lock(harness):
            await asyncio.sleep(0.01)
    go_on.set()
    await arrival
    await replayed
    assert await letters(harness) == []
    assert [event.name for event in harness.appended if isinstance(event, Counted)] == [
        "echo-poison",
        "echo-x",
        "echo-late",
    ]


async def test_two_operators_at_once_have_one_effect(harness: Harness) -> None:
    await _react(harness, "s-1", "poison", *(f"n{number}" for number in range(20)))
    counter.POISON.clear()
    await asyncio.gather(replay(harness), replay(harness))
    names = [event.name for event in harness.appended if isinstance(event, Counted)]
    assert names == ["echo-poison", *(f"echo-n{number}" for number in range(20))]


async def test_two_processes_may_feed_one_row(harness: Harness) -> None:
    """Two streams in two partitions, as two processes of a service read them."""
    streams = {}
    for number in range(100):
        streams.setdefault(event_store.partition_of("p1", f"s-{number}", 4), f"s-{number}")
    other = Harness(counter.build(harness.service.settings), is_new=False)
    async with other:

        async def feed(one: Harness, stream: str) -> None:
            for _ in range(40):
                await one.event("p1", Counted(name="a", by=1), source="catalog", stream=stream)

        await asyncio.gather(feed(harness, streams[0]), feed(other, streams[1]))
    rows = await harness.rows("counters")
    assert [(row["name"], row["total"]) for row in rows] == [("a", 80)]


async def test_a_dead_letter_tells_which_request_it_came_from(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    await _react(harness, "s-1", "poison")
    written = capsys.readouterr().out
    stored = (await harness.rows("dead_letters"))[0]
    sent = Envelope.from_headers((name, value.encode()) for name, value in stored["headers"])
    for event in ("batch_failed", "message_given_up", "dead_letter"):
        lines = [line for line in written.splitlines() if event in line]
        assert lines and sent.id in lines[0], event
