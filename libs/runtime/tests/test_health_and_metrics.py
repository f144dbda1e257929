"""What an operator sees of a running service: live, ready, and metrics that say what they mean."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import counter_service as counter
import pytest
import pytest_asyncio
from counter_service import Count
from prometheus_client.parser import text_string_to_metric_families

from contracts.messages import Envelope
from runtime import admin, clock, ids, limits
from runtime.bus import Outgoing
from runtime.database import connect
from runtime.sampling import Sampler
from runtime.service import Service
from runtime.settings import Settings

pytestmark = pytest.mark.integration


class Wire:
    """A TCP connection to Postgres that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None, "joined"
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(
            self._copy(reader, far_writer), self._copy(far_reader, writer), return_exceptions=True
        )

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


async def get(service: Service, path: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{service.health_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text()


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not await look():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within a minute: {what}")


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(service: Service) -> Samples:
    status, text = await get(service, "/metrics")
    assert status == 200
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def total(samples: Samples, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(found for (one, had), found in samples.items() if one == name and wanted <= had)


# -- health -------------------------------------------------------------------------------------


async def test_ready_says_so_only_while_postgres_answers(kafka_settings: Settings) -> None:
    url = urlsplit(kafka_settings.database_url)
    wire = Wire(url.hostname or "127.0.0.1", url.port or 5432)
    await wire.join()
    login = url.netloc.rpartition("@")[0]
    through = url._replace(netloc=f"{login}@127.0.0.1:{wire.port}").geturl()
    service = Service("gateway", kafka_settings.model_copy(update={"database_url": through}))
    await admin.migrate_service(service)
    await service.start()
    try:
        assert await get(service, "/health/live") == (200, {"status": "live", "service": "gateway"})
        assert await get(service, "/health/ready") == (
            200,
            {"status": "ready", "service": "gateway"},
        )
        await wire.cut()
        status, told = await get(service, "/health/ready")
        assert (status, told["status"]) == (503, "not ready")
        assert told["reason"].startswith("Postgres: ")
        assert (await get(service, "/health/live"))[0] == 200, "a restart would not help"
        await wire.join()

        async def is_ready() -> bool:
            return (await get(service, "/health/ready"))[0] == 200

        await until(is_ready, "ready again")
        service.is_ready = False
        status, told = await get(service, "/health/ready")
        assert (status, told["reason"]) == (503, "starting or stopping")
    finally:
        await service.stop()
        await wire.cut()


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_r28_a_process_whose_clock_is_wrong_does_not_start(
    kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    right = clock.now
    monkeypatch.setattr(clock, "now", lambda: right() + timedelta(minutes=minutes))
    service = Service("gateway", kafka_settings)
    await admin.migrate_service(service)
    with pytest.raises(RuntimeError, match=r"clock is (299|300|301) s from Postgres'"):
        await service.start()
    await service.stop()
    monkeypatch.setattr(clock, "now", lambda: right() + timedelta(seconds=30))
    service = Service("gateway", kafka_settings)
    await service.start()
    await service.stop()


async def test_ready_only_once_the_read_models_show_what_there_was_at_the_start(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await ask(gateway, name, 1)

    async def shows(service: Service) -> bool:
        async with service.pool.acquire() as connection:
            return await connection.fetchval("SELECT count(*) FROM counters") == 5

    await until(lambda: shows(catalog), "the projection")
    await catalog.stop()
    blocker = await connect(kafka_settings, "catalog")
    await blocker.execute("DELETE FROM counters")
    await blocker.execute("UPDATE consumer_offsets SET next_offset = 0, position = 0")
    again = counter.build(kafka_settings)
    starting = asyncio.create_task(again.start())
    try:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE counters")

            async def waits() -> bool:
                if not again.health_port:
                    return False
                status, told = await get(again, "/health/ready")
                assert status == 503, "it would show an empty read model"
                return str(told["reason"]).startswith("projection catches up in ")

            await until(waits, "it says what it waits for")
            assert (await get(again, "/health/live"))[0] == 200
            assert not starting.done()
        await asyncio.wait_for(starting, 60)
        assert await shows(again)
        assert (await get(again, "/health/ready"))[0] == 200
    finally:
        await again.stop()
        await blocker.close()


# -- metrics ------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def catalog(catalog: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(limits, "METRICS_SAMPLE_S", 3600)
    yield catalog


async def ask(gateway: Service, name: str, by: int) -> None:
    reply = await gateway.rpc.call(
        "catalog.commands", name, Count(name=name, by=by), project_id="p1"
    )
    assert reply.status in {200, 400, 500}


async def test_counters_count_what_happened(catalog: Service, gateway: Service) -> None:
    before = await scrape(catalog)
    await ask(gateway, "a", 4)
    await ask(gateway, "a", 3)
    await ask(gateway, "a", 9)

    async def is_folded() -> bool:
        now = await scrape(catalog)
        name, labels = "tessera_messages_total", {"consumer": "projection", "outcome": "ok"}
        return value(now, name, **labels) - value(before, name, **labels) == 2

    await until(is_folded, "two events folded")
    after = await scrape(catalog)

    def grew(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grew("tessera_messages_total", consumer="commands", outcome="ok") == 2
    assert grew("tessera_messages_total", consumer="commands", outcome="refused") == 1
    assert grew("tessera_refusals_total", consumer="commands", key="too_much") == 1
    assert grew("tessera_events_appended_total") == 2
    assert grew("tessera_batch_seconds_count", consumer="commands") >= 1


async def test_lags_are_what_waits(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    sampler = Sampler(catalog)
    await ask(gateway, "a", 1)

    async def sampled(**wanted: float) -> bool:
        await sampler.look()
        now = await scrape(catalog)
        found = {
            "log": value(now, "tessera_log_position"),
            "relay": value(now, "tessera_relay_lag_positions"),
            "projection": total(now, "tessera_consumer_lag_records", consumer="projection"),
            "position": total(now, "tessera_projection_position", consumer="projection"),
            "waits": float(value(now, "tessera_projection_lag_seconds", consumer="projection") > 0),
        }
        return all(found[name] == at for name, at in wanted.items())

    at_rest = {"log": 1, "relay": 0, "projection": 0, "position": 1, "waits": 0}
    await until(lambda: sampled(**at_rest), f"{at_rest}")
    shown = await scrape(catalog)
    for consumer in ("commands", "projection"):
        assert value(shown, "tessera_assigned_partitions", consumer=consumer) > 0
    blocker = await connect(kafka_settings, "catalog")
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE counters IN ACCESS EXCLUSIVE MODE")
    for number in range(3):
        await ask(gateway, "a", number + 1)
    behind = {"log": 4, "relay": 0, "projection": 3, "position": 1, "waits": 1}
    await until(lambda: sampled(**behind), f"{behind}")
    await transaction.rollback()
    await blocker.close()
    caught_up = {"log": 4, "relay": 0, "projection": 0, "position": 4, "waits": 0}
    await until(lambda: sampled(**caught_up), f"{caught_up}")


async def test_a_relay_that_stands_still_shows(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    blocker = await connect(kafka_settings, "catalog")
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("SELECT * FROM relay_cursor FOR UPDATE")
    await ask(gateway, "a", 1)
    await ask(gateway, "a", 2)
    sampler = Sampler(catalog)
    await sampler.look()
    assert value(await scrape(catalog), "tessera_relay_lag_positions") == 2
    await transaction.rollback()
    await blocker.close()

    async def is_published() -> bool:
        await sampler.look()
        return value(await scrape(catalog), "tessera_relay_lag_positions") == 0

    await until(is_published, "the relay caught up")


async def test_dead_letters_and_held_streams_are_counted_where_they_lie(
    catalog: Service, gateway: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "POISON", {"poison"})
    envelope = Envelope(
        id=ids.new_id("msg"),
        type=counter.Counted.TYPE,
        source="customers",
        time=clock.now(),
        project_id="p1",
        stream="s-1",
        stream_version=1,
    )
    records = [
        Outgoing(
            "customers.events",
            "s-1",
            counter.Counted(name=name, by=1).to_json(),
            envelope._replace(position=number).to_headers(),
            0,
        )
        for number, name in enumerate(("poison", "x", "y"), 1)
    ]
    await gateway.bus.send_and_wait(records)
    sampler = Sampler(catalog)

    async def are_stored() -> bool:
        await sampler.look()
        return total(await scrape(catalog), "tessera_dead_letters_stored") == 3

    await until(are_stored, "three letters")
    now = await scrape(catalog)
    stored = "tessera_dead_letters_stored"
    assert value(now, stored, consumer="reactions", status="failed") == 1
    assert value(now, stored, consumer="reactions", status="held") == 2
    assert value(now, "tessera_held_streams", consumer="reactions") == 1
    assert value(now, "tessera_held_streams", consumer="projection") == 0
    retries = value(now, "tessera_batch_retries_total", consumer="reactions", reason="handler")
    assert retries >= 4
