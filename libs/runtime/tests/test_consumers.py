"""The consumer wrapper on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import counter_service as counter
import pytest
import pytest_asyncio
from counter_service import Broken, Count, Counted, Fail, Note

from runtime import inbox
from runtime.consumer import Handler, ReactionConsumer
from runtime.settings import Settings
from runtime.testing import Harness
from runtime.testing.records import record_of

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def harness(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(counter.build(leased_settings)) as running:
        async with running.service.pool.acquire() as connection:
            await connection.execute(
                """
                CREATE TABLE IF NOT EXISTS notes (project_id text, name text);
                CREATE TABLE IF NOT EXISTS counters (project_id text, name text, total bigint,
                    doc jsonb, PRIMARY KEY (project_id, name));
                """
            )
        yield running


async def test_a_command_appends_and_replies_with_positions(harness: Harness) -> None:
    reply = await harness.command("p1", Count(name="a", by=3))
    assert reply.body == {"total": 3}
    assert [(p.service, p.position) for p in reply.positions] == [("catalog", 1)]
    assert harness.appended == [Counted(name="a", by=3)]


async def test_whoever_changes_nothing_is_told_where_what_it_was_shown_stands(
    harness: Harness,
) -> None:
    await harness.command("p1", Count(name="b", by=1))
    await harness.command("p1", Count(name="a", by=3))
    await harness.command("p2", Count(name="a", by=3))
    reply = await harness.command("p1", Count(name="a", by=0))
    assert (reply.body, len(harness.appended)) == ({"total": 3}, 3)
    assert [(p.service, p.position) for p in reply.positions] == [("catalog", 2)]
    replies = await harness.commands([("p1", Count(name="a", by=by)) for by in (4, 0)])
    assert [[p.position for p in one.positions] for one in replies if one] == [[4], [4]]


async def test_projects_do_not_see_each_other(harness: Harness) -> None:
    await harness.command("p1", Count(name="a", by=3))
    reply = await harness.command("p2", Count(name="a", by=4))
    assert reply.body == {"total": 4}


async def test_later_commands_of_a_batch_see_the_earlier_ones(harness: Harness) -> None:
    replies = await harness.commands([("p1", Count(name="a", by=4)) for _ in range(3)])
    assert [(r.status, r.body) for r in replies if r] == [
        (200, {"total": 4}),
        (200, {"total": 8}),
        (400, None),
    ]
    assert [event for event in harness.appended] == [Counted(name="a", by=4)] * 2


async def test_a_repeated_key_gets_the_same_reply_once(harness: Harness) -> None:
    first = await harness.command("p1", Count(name="a", by=1), key="k", fingerprint="f")
    again = await harness.command("p1", Count(name="a", by=1), key="k", fingerprint="f")
    other = await harness.command("p1", Count(name="a", by=2), key="k", fingerprint="g")
    assert again == first.model_copy(update={"replayed": True})
    assert other.error is not None
    assert other.error.key == "idempotency_key_reused"
    assert len(harness.appended) == 1


async def test_a_key_repeated_within_a_batch_has_one_effect(harness: Harness) -> None:
    replies = await harness.commands([("p1", Count(name="a", by=1))] * 2, key="k", fingerprint="f")
    assert [r.replayed for r in replies if r] == [False, True]
    assert len(harness.appended) == 1


async def test_a_refusal_undoes_what_its_handler_wrote(harness: Harness) -> None:
    alone = await harness.command("p1", Note(name="alone", fails=True))
    assert alone.status == 400
    replies = await harness.commands(
        [("p1", Note(name="a")), ("p1", Note(name="b", fails=True)), ("p1", Note(name="c"))]
    )
    assert [r.status for r in replies if r] == [200, 400, 200]
    assert [row["name"] for row in await harness.rows("notes")] == ["a", "c"]


async def test_a_partition_that_is_new_begins_beside_one_that_is_known(harness: Harness) -> None:
    """Its offset is stored on another connection, which must not wait for the one that has the batch."""
    await harness.command("p1", Count(name="a", by=1))
    commands: Any = next(one for one in harness.service.consumers if one.name == "commands")
    known = await harness.rows("consumer_offsets")
    at = {(row["topic"], row["partition"]): row["next_offset"] for row in known}
    (topic, partition), offset = next(one for one in at.items() if one[0][0] in commands.topics)
    command = Count(name="a", by=1)
    known_one = record_of(command, (topic, partition), offset, message_id="m1", reply_to="")
    new_one = record_of(command, (topic, partition + 1), 0, message_id="m2", reply_to="")
    async with asyncio.timeout(5):
        await commands.take([known_one, new_one])
    await harness.refresh()
    assert harness.appended == [Counted(name="a", by=1)] * 3


async def test_a_refusal_may_be_recorded(harness: Harness) -> None:
    reply = await harness.command("p1", Fail(name="a"), key="k", fingerprint="f")
    again = await harness.command("p1", Fail(name="a"), key="k", fingerprint="f")
    assert reply.error is not None
    assert reply.error.key == "too_much"
    assert again.error == reply.error
    assert harness.appended == [Counted(name="a", by=0)]


async def test_a_poisonous_event_holds_back_its_stream_only(harness: Harness) -> None:
    harness.service.settings.__dict__["retry_delay_s"] = 0.0
    await harness.events(
        [("p1", Counted(name="poison", by=1)), ("p1", Counted(name="x", by=2))],
        source="customers",
        stream="s-1",
    )
    await harness.event("p1", Counted(name="y", by=3), source="customers", stream="s-2")
    assert harness.appended == [Counted(name="echo-y", by=3)]
    letters = await harness.rows("dead_letters")
    assert [(row["status"], row["stream_id"]) for row in letters] == [
        ("failed", "s-1"),
        ("held", "s-1"),
    ]


def test_headers_of_a_dead_letter_come_back_as_they_were() -> None:
    headers = (("ce_id", b"\x00\xff\xfd"), ("n\x00", "\ufffd".encode()), ("", b""))
    packed = inbox.pack_headers(headers)
    assert "\x00" not in str(packed)
    assert inbox.unpack_headers(packed) == headers


async def test_an_unknown_event_stops_a_projection_s_stream(harness: Harness) -> None:
    await harness.event("p1", Broken(name="a"), source="catalog", stream="s-1")
    assert [row["consumer"] for row in await harness.rows("dead_letters")] == ["projection"]


async def test_bad_elements_are_told_upstream_and_good_ones_taken(harness: Harness) -> None:
    await harness.intake("intake.products", "p1", [{"name": "a"}, {"name": 7}, 5, {"name": "b"}])
    await harness.intake("intake.products", "p1", b"\xff{garbage")
    await harness.intake("intake.products", "", {"name": "c"})
    await harness.intake("intake.products", "p1", b'{"name": ' + b"[" * 500 + b"]" * 500 + b"}")
    reasons = [getattr(event, "reason", None) for event in harness.appended]
    assert reasons[0] is None
    assert sorted(str(reason) for reason in reasons if reason)[:3] == [
        "an element must be an object",
        "name: must be text",
        "nested too deeply",
    ]
    assert str(reasons[4]).startswith("not JSON")
    assert len([event for event in harness.appended if isinstance(event, Counted)]) == 2
    assert "nested too deeply" in reasons
    assert len(harness.appended) == 7


async def test_the_projection_folds_own_events(harness: Harness) -> None:
    await harness.commands([("p1", Count(name="a", by=4)), ("p1", Count(name="a", by=2))])
    await harness.deliver_own()
    await harness.deliver_own()
    assert await harness.rows("counters") == [
        {"project_id": "p1", "name": "a", "total": 6, "doc": {"last": 2}}
    ]


async def test_a_reaction_does_not_say_that_a_read_model_is_there(harness: Harness) -> None:
    projection = harness.service.consumers[-1]
    harness.service.consumers = [*harness.service.consumers[:-1], _reader_of_own_events(harness)]
    reply = await harness.command("p1", Count(name="a", by=4))
    await harness.deliver_own()
    assert not harness.service.positions.has(reply.positions), "only the reaction has seen it"
    harness.service.consumers = [projection]
    await harness.deliver_own(again=True)
    assert harness.service.positions.has(reply.positions)


def _reader_of_own_events(harness: Harness) -> ReactionConsumer:
    reaction = ReactionConsumer(
        {Counted: Handler(counter.on_counted)}, ["catalog.events"], name="own"
    )
    reaction.bind(harness.service)
    return reaction


async def test_an_event_that_was_published_twice_counts_once_in_one_batch(
    harness: Harness,
) -> None:
    await harness.commands([("p1", Count(name="a", by=4)), ("p1", Count(name="a", by=2))])
    await harness.deliver_own(times=3)
    assert [row["total"] for row in await harness.rows("counters")] == [6]


async def test_two_processes_conflict_and_both_succeed(leased_settings: Settings) -> None:
    first = Harness(counter.build(leased_settings))
    second = Harness(counter.build(leased_settings), is_new=False)
    async with first, second:
        import asyncio

        replies = await asyncio.gather(
            *(harness.command("p1", Count(name="a", by=1)) for harness in (first, second))
        )
    assert sorted(reply.body["total"] for reply in replies if reply.body) == [1, 2]
