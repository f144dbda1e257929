"""The real process on a real broker: it is killed after a post, and how fast it tells."""

import asyncio
import json
import os
import secrets as random
import signal
import statistics
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from aiokafka import AIOKafkaProducer

from contracts import topics
from contracts.customers import Customer, CustomerCreated
from contracts.gateway import Project, ProjectCreated
from contracts.messages import Envelope, Message
from contracts.webhooks import CreateEndpoint
from runtime import admin, clock, migrate, secrets
from runtime.settings import Settings as RuntimeSettings
from runtime.testing.servers import Servers
from webhooks.app import SOURCES, build
from webhooks.settings import Settings

pytestmark = pytest.mark.integration
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest_asyncio.fixture
async def settings(leased_settings: RuntimeSettings, servers: Servers) -> Settings:
    settings = Settings(
        **{
            **leased_settings.model_dump(),
            "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
            "topic_prefix": f"t{random.token_hex(4)}.",
            "tessera_allow_private_webhooks": True,
        }
    )
    administrator = await asyncpg.connect(settings.database_url)
    await migrate.create_role_and_schema(administrator, settings, "webhooks")
    await administrator.close()
    names = [topics.events(name) for name in (*SOURCES, "webhooks")]
    await admin.create_topics(settings, [*names, topics.commands("webhooks")])
    await admin.migrate_service(build(settings))
    return settings


@pytest_asyncio.fixture
async def posts() -> AsyncIterator[tuple[str, list[tuple[float, dict, dict]]]]:
    """Return the address of a receiver and what it got, with the time."""
    found: list[tuple[float, dict, dict]] = []

    async def handle(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.json()
        found.append((asyncio.get_running_loop().time(), headers, body))
        return web.Response()

    application = web.Application()
    application.router.add_post("/", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/", found
    await runner.cleanup()


async def start(settings: Settings, **environment: str) -> asyncio.subprocess.Process:
    own = {
        name.upper(): value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in settings
    }
    own["TESSERA_ALLOW_PRIVATE_WEBHOOKS"] = "1"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "webhooks",
        env={**os.environ, **own, **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )


class Teller:
    """Publishes as the platform's other services do."""

    def __init__(self, settings: Settings, kafka: AIOKafkaProducer) -> None:
        self._settings = settings
        self._kafka = kafka
        self._position = 0

    async def tell(self, topic: str, message: Message) -> None:
        self._position += 1
        envelope = Envelope(
            id=f"ev_{self._position}",
            type=message.TYPE,
            source=topic.partition(".")[0],
            time=clock.now(),
            project_id="p1",
            stream="test-1" if topic.endswith("events") else "",
            stream_version=self._position,
            position=self._position,
        )
        await self._kafka.send_and_wait(
            self._settings.topic_prefix + topic,
            message.to_json(),
            headers=envelope.to_headers(),
            partition=0,
        )

    async def customer(self, number: int) -> None:
        customer = Customer(id=f"cust_{number}", created_at=NOON)
        await self.tell("customers.events", CustomerCreated(customer=customer))


@pytest_asyncio.fixture
async def teller(settings: Settings, posts) -> AsyncIterator[Teller]:
    bootstrap = settings.kafka_bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0) as kafka:
        teller = Teller(settings, kafka)
        project = Project(
            id="p1",
            name="p1",
            timezone="UTC",
            currency="EUR",
            created_at=NOON,
            webhook_secret=secrets.encrypt(settings, "s"),
        )
        await teller.tell("gateway.events", ProjectCreated(project=project))
        endpoint = CreateEndpoint(
            endpoint_id="wh_1",
            target_url=posts[0],
            events=["*"],
            secret=secrets.encrypt(settings, SECRET),
        )
        await teller.tell("webhooks.commands", endpoint)
        yield teller


async def rows(settings: Settings, table: str) -> list[dict]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        return [dict(row) for row in await connection.fetch(f"SELECT * FROM webhooks.{table}")]
    finally:
        await connection.close()


async def until(look, wanted: int, deadline_s: float = 60) -> None:
    async with asyncio.timeout(deadline_s):
        while len(await look()) < wanted:
            await asyncio.sleep(0.02)


async def stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.wait()


async def test_killed_after_a_post_it_posts_again_under_the_same_id(settings, posts, teller):
    quick = {"WEBHOOK_TIMEOUT_S": "1", "WEBHOOK_LEASE_MARGIN_S": "1"}
    first = await start(settings, **quick, CRASH_AT="webhook_after_send")

    async def endpoints():
        return await rows(settings, "endpoints")

    await until(endpoints, 1)
    await teller.customer(1)
    async with asyncio.timeout(60):
        assert await first.wait() == -signal.SIGKILL
    assert len(posts[1]) == 1
    assert await rows(settings, "attempts") == []
    second = await start(settings, **quick)

    async def attempts():
        return await rows(settings, "attempts")

    await until(attempts, 1)
    await stop(second)
    assert len({headers["webhook-id"] for _, headers, _ in posts[1]}) == 1
    assert len(posts[1]) == 2
    first_body, second_body = (body for _, _, body in posts[1])
    assert json.dumps(first_body) == json.dumps(second_body)


async def test_an_event_is_told_at_once(settings, posts, teller, record_property):
    """An idle process posts as soon as the event is there; it does not wait for its next look."""
    process = await start(settings)

    async def endpoints():
        return await rows(settings, "endpoints")

    await until(endpoints, 1)
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(40):
        started = loop.time()
        await teller.customer(number)
        async with asyncio.timeout(30):
            while len(posts[1]) <= number:
                await asyncio.sleep(0.001)
        waits.append((posts[1][number][0] - started) * 1000)
    await stop(process)
    middle = statistics.median(waits[5:])
    record_property("event_to_webhook_ms_p50", middle)
    sys.stderr.write(f"event to webhook, p50: {middle:.1f} ms, max: {max(waits[5:]):.1f} ms\n")
    assert middle < 500
