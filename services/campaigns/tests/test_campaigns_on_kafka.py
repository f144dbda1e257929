"""The real process on a real broker: it is killed while it generates codes, and started again."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from campaigns.app import build
from campaigns.audit import audit
from campaigns.settings import Settings
from contracts import topics
from contracts.campaigns import AddVouchers, CreateCampaign
from contracts.messages import Command, Reply
from runtime import admin, ids
from runtime.service import Service
from runtime.testing.fixtures import create_schemas

pytestmark = [pytest.mark.integration, pytest.mark.timeout(720)]
CODES = 60_000
WAIT_S = 120
"""Three processes start and make all codes: seconds on a quiet machine, a minute and more on a busy one."""
TOPICS = (
    topics.commands("campaigns"),
    topics.events("campaigns"),
    topics.dead_letters("campaigns"),
    topics.events("distribution"),
    topics.events("gateway"),
    topics.GATEWAY_REPLIES,
)


@pytest_asyncio.fixture
async def settings(leased_kafka_settings: Settings) -> Settings:
    settings = Settings(**leased_kafka_settings.model_dump())
    await create_schemas(settings, "campaigns", "gateway")
    await admin.migrate_service(build(settings))
    await admin.create_topics(settings, list(TOPICS))
    return settings


@pytest_asyncio.fixture
async def gateway(settings: Settings) -> AsyncIterator[Service]:
    service = Service("gateway", settings, with_rpc=True)
    await admin.migrate_service(service)
    await service.start()
    yield service
    await service.stop()


async def start(settings: Settings, codes_per_s: int = 20_000) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TOPIC_PREFIX": settings.topic_prefix,
        "GENERATION_CODES_PER_S_MAX": str(codes_per_s),
        "LOG_LEVEL": "warning",
        "TESSERA_INSTANCE": "0",
    }
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "campaigns", env=environment)


async def send(gateway: Service, command: Command, key: str) -> Reply:
    return await gateway.rpc.call(
        topics.commands("campaigns"),
        "camp_1",
        command,
        project_id="p1",
        idempotency_key=key,
        timeout_s=WAIT_S,
    )


async def until(settings: Settings, query: str, wanted: int) -> int:
    connection = await admin.connect(settings, "campaigns")
    deadline = time.monotonic() + WAIT_S
    try:
        while (found := await connection.fetchval(query) or 0) < wanted:
            assert time.monotonic() < deadline, f"{found} of {wanted}"
            await asyncio.sleep(0.01)
        return found
    finally:
        await connection.close()


async def test_a_killed_generator_goes_on_where_it_was(settings: Settings, gateway: Service):
    # So slow that nobody, however late he looks, finds it done before the first kill.
    process = await start(settings, codes_per_s=CODES // WAIT_S)
    voucher = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 5}}
    create = CreateCampaign(
        campaign_id="camp_1",
        action_id="aa_1",
        definition={"name": "Autumn", "voucher": voucher},
        vouchers_count=CODES,
    )
    done = "SELECT sum(done) FROM generation_jobs"
    try:
        reply = await send(gateway, create, "key-1")
        assert reply.status == 200
        stops = []
        for stop_at in (1, CODES // 2):
            stops.append(await until(settings, done, stop_at))
            process.kill()
            await process.wait()
            process = await start(settings)
        assert stops[0] < CODES, "it was killed before it had finished"
        again = await send(gateway, create, "key-1")
        assert (again.body, again.replayed) == (reply.body, True)
        while_busy = AddVouchers(campaign_id="camp_1", action_id=ids.new_id("aa"), code="MINE")
        assert (await send(gateway, while_busy, "key-2")).status == 200
        await until(settings, done, CODES)
        await until(
            settings,
            "SELECT count(*) FROM relay_cursor WHERE position = (SELECT max(position) FROM events)",
            1,
        )
    finally:
        process.terminate()
        await process.wait()
    connection = await admin.connect(settings, "campaigns")
    assert await connection.fetchval("SELECT count(*) FROM codes") == CODES + 1
    ends = "SELECT count(*) FROM events WHERE type LIKE '%generation-completed%'"
    assert await connection.fetchval(ends) == 1
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await audit(connection) == []
    await connection.close()
