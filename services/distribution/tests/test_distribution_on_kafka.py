"""The real process on a real broker and a real SMTP server: killed around DATA, it never sends twice."""

import asyncio
import email
import os
import secrets as random
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiosmtpd.smtp import SMTP

from contracts import topics
from contracts.campaigns import Campaign, CampaignCreated, VoucherDefinition, VouchersGenerated
from contracts.customers import Customer, CustomEventRecorded
from contracts.distribution import CreateDistribution
from contracts.messages import Envelope, Message
from distribution.app import build
from distribution.settings import Settings
from runtime import admin, clock, migrate
from runtime.settings import Settings as RuntimeSettings
from runtime.testing.servers import Servers

pytestmark = pytest.mark.integration
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Mailbox:
    def __init__(self) -> None:
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


@pytest_asyncio.fixture
async def settings(
    leased_settings: RuntimeSettings, servers: Servers, mailbox: Mailbox
) -> Settings:
    settings = Settings(
        **{
            **leased_settings.model_dump(),
            "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
            "topic_prefix": f"t{random.token_hex(4)}.",
            "smtp_url": f"smtp://127.0.0.1:{mailbox.port}",
            "message_lease_s": 2.0,
        }
    )
    administrator = await asyncpg.connect(settings.database_url)
    await migrate.create_role_and_schema(administrator, settings, "distribution")
    await administrator.close()
    names = [topics.events(name) for name in ("campaigns", "customers", "distribution")]
    await admin.create_topics(settings, [*names, topics.commands("distribution")])
    await admin.migrate_service(build(settings))
    return settings


async def start(settings: Settings, **environment: str) -> asyncio.subprocess.Process:
    own = {
        name.upper(): value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in settings
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "distribution",
        env={**os.environ, **own, **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )


async def tell(settings: Settings, messages: list[tuple[str, Message]]) -> None:
    bootstrap = settings.kafka_bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as kafka:
        for position, (topic, message) in enumerate(messages, 1):
            envelope = Envelope(
                id=f"ev_{topic}_{position}",
                type=message.TYPE,
                source=topic.partition(".")[0],
                time=clock.now(),
                project_id="p1",
                stream="test-1" if topic.endswith("events") else "",
                stream_version=position,
                position=position,
            )
            await kafka.send_and_wait(
                settings.topic_prefix + topic,
                message.to_json(),
                headers=envelope.to_headers(),
                partition=0,
            )


async def until(settings: Settings, query: str, deadline_s: float = 60) -> None:
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("SET search_path TO distribution")
    try:
        async with asyncio.timeout(deadline_s):
            while not await connection.fetchval(query):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


def setting_up() -> list[tuple[str, Message]]:
    template = VoucherDefinition(
        type="DISCOUNT_VOUCHER", discount={"type": "PERCENT", "percent_off": 10.0}
    )
    campaign = Campaign(
        id="camp_1",
        name="Sale",
        campaign_type="DISCOUNT_COUPONS",
        type="STATIC",
        voucher=template,
        created_at=NOON,
    )
    codes = VouchersGenerated(
        campaign_id="camp_1",
        action_id="aa_1",
        codes=["A1", "A2", "A3"],
        done=3,
        total=3,
        generated_at=NOON,
    )
    return [
        ("campaigns.events", CampaignCreated(campaign=campaign)),
        ("campaigns.events", codes),
    ]


DEFINITION = {
    "name": "Carts",
    "trigger": {"type": "customer.custom_event", "custom_event": {"name": "cart.abandoned"}},
    "campaign_id": "camp_1",
    "message": {"channel": "email", "subject": "Hi", "text": "{{ voucher.code }}"},
}


async def set_up(settings: Settings) -> None:
    await tell(settings, setting_up())
    await until(settings, "SELECT count(*) = 3 FROM free_codes")
    command = CreateDistribution(distribution_id="dist_1", definition=DEFINITION)
    await tell(settings, [("distribution.commands", command)])
    await until(settings, "SELECT count(*) = 1 FROM triggers")


async def abandon(settings: Settings) -> None:
    customer = Customer(id="cust_1", source_id="anna", email="anna@shop.example", created_at=NOON)
    event = CustomEventRecorded(
        event_id="ev_1", event="cart.abandoned", customer=customer, occurred_at=NOON
    )
    await tell(settings, [("customers.events", event)])


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        await process.wait()


@pytest.mark.parametrize(
    ("crash_at", "mails"), [("message_before_data", 0), ("message_after_send", 1)]
)
async def test_killed_around_data_it_does_not_send_twice(settings, mailbox, crash_at, mails):
    first = await start(settings, CRASH_AT=crash_at)
    await set_up(settings)
    await abandon(settings)
    async with asyncio.timeout(60):
        assert await first.wait() == -signal.SIGKILL
    second = await start(settings)
    await until(settings, "SELECT count(*) = 1 FROM messages WHERE status = 'unknown'")
    await stop(second)
    assert len(mailbox.mails) == mails


async def test_an_abandoned_cart_gets_its_email_from_the_real_process(settings, mailbox):
    process = await start(settings)
    await set_up(settings)
    await abandon(settings)
    await until(settings, "SELECT count(*) = 1 FROM messages WHERE status = 'sent'")
    await until(settings, "SELECT count(*) = 1 FROM events WHERE type LIKE '%message-sent%'")
    await stop(process)
    (mail,) = mailbox.mails
    assert mail.get_payload().strip() == "A1"
