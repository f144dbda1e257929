"""Whole services in one process, on a real broker and a real Postgres."""

import asyncio

import counter_service as counter
import pytest
from counter_service import Count

from contracts import topics
from contracts.messages import Envelope
from runtime import admin, clock, ids
from runtime.bus import KafkaBus, Outgoing
from runtime.read_model import Fold, Projection, Rows
from runtime.service import Service
from runtime.settings import Settings

pytestmark = pytest.mark.integration


async def test_a_command_travels_and_its_event_comes_back(
    catalog: Service, gateway: Service
) -> None:
    reply = await gateway.rpc.call(
        "catalog.commands", "a", Count(name="a", by=3), project_id="p1", idempotency_key="k1"
    )
    assert reply.body == {"total": 3}
    await catalog.positions.wait(reply.positions, 10)
    async with catalog.pool.acquire() as connection:
        assert await connection.fetchval("SELECT total FROM counters WHERE name = 'a'") == 3


async def test_many_callers_at_once_each_get_their_answer(
    catalog: Service, gateway: Service
) -> None:
    replies = await asyncio.gather(
        *(
            gateway.rpc.call(
                "catalog.commands",
                f"n{number}",
                Count(name=f"n{number}", by=number % 10),
                project_id="p1",
                idempotency_key=f"k{number}",
            )
            for number in range(300)
        )
    )
    assert [reply.body for reply in replies] == [{"total": n % 10} for n in range(300)]
    newest = [position for reply in replies for position in reply.positions]
    await catalog.positions.wait(newest, 10)


async def test_garbage_becomes_a_dead_letter_and_the_rest_goes_on(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    bus = KafkaBus(kafka_settings)
    await bus.start()
    envelope = Envelope(
        id=ids.new_id("msg"), type="counter.count.v1", source="x", time=clock.now(), project_id="p"
    )
    await bus.send_and_wait(
        [
            Outgoing("catalog.commands", "a", b"\xff\x00garbage", [], 0),
            Outgoing("catalog.commands", "a", b"{}", envelope.to_headers(), 0),
            Outgoing("catalog.events", "a", b"garbage", [("ce_id", b"\xff")], 0),
        ]
    )
    await bus.stop()
    reply = await gateway.rpc.call("catalog.commands", "a", Count(name="a", by=1), project_id="p")
    assert reply.body == {"total": 1}
    async with asyncio.timeout(10):
        while True:
            async with catalog.pool.acquire() as connection:
                letters = await connection.fetch("SELECT consumer, reason FROM dead_letters")
            if len(letters) == 3:
                break
            await asyncio.sleep(0.05)
    assert sorted(letter["consumer"] for letter in letters) == [
        "commands",
        "commands",
        "projection",
    ]


async def test_a_restart_goes_on_where_it_was(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    for number in range(3):
        await gateway.rpc.call(
            "catalog.commands",
            "a",
            Count(name="a", by=1),
            project_id="p",
            idempotency_key=f"k{number}",
        )
    await catalog.stop()
    again = counter.build(kafka_settings)
    await again.start()
    try:
        reply = await gateway.rpc.call(
            "catalog.commands", "a", Count(name="a", by=1), project_id="p", idempotency_key="k2"
        )
        assert reply.replayed
        reply = await gateway.rpc.call(
            "catalog.commands", "a", Count(name="a", by=1), project_id="p", idempotency_key="k9"
        )
        assert reply.body == {"total": 4}
        await again.positions.wait(reply.positions, 10)
        async with again.pool.acquire() as connection:
            assert await connection.fetchval("SELECT total FROM counters") == 4
    finally:
        await again.stop()


async def test_a_read_model_that_older_code_folded_is_folded_again(
    catalog: Service, gateway: Service, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = await gateway.rpc.call("catalog.commands", "a", Count(name="n", by=2), project_id="p")
    await catalog.positions.wait(reply.positions, 10)
    await catalog.stop()

    def apply_double(rows: Rows, event: counter.Counted, envelope: Envelope) -> None:
        counter.apply_counted(rows, event.model_copy(update={"by": 2 * event.by}), envelope)

    async def total_after_start(projection: Projection) -> int:
        monkeypatch.setattr(counter, "PROJECTION", projection)
        service = counter.build(kafka_settings)
        await service.start()
        async with service.pool.acquire() as connection:
            total: int = await connection.fetchval("SELECT total FROM counters")
        await service.stop()
        return total

    fold = {counter.Counted: Fold(counter.keys_counted, apply_double)}
    assert await total_after_start(Projection([counter.COUNTERS], fold)) == 2
    assert await total_after_start(Projection([counter.COUNTERS], fold, revision=2)) == 4


async def test_republish_and_rebuild_change_nothing(
    catalog: Service, gateway: Service, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "build_service", lambda name, given: counter.build(given))
    monkeypatch.setattr(topics, "SERVICES", ("catalog", "gateway"))
    for number in range(20):
        reply = await gateway.rpc.call(
            "catalog.commands", "a", Count(name=f"n{number}", by=1), project_id="p"
        )
    await catalog.positions.wait(reply.positions, 10)
    await admin.republish(kafka_settings, ["catalog"])
    reply = await gateway.rpc.call("catalog.commands", "a", Count(name="z", by=1), project_id="p")
    await catalog.positions.wait(reply.positions, 30)
    assert await admin.rebuild(kafka_settings, ["catalog"])
    async with catalog.pool.acquire() as connection:
        assert await connection.fetchval("SELECT sum(total) FROM counters") == 21
