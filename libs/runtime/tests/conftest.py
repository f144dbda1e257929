"""Services on a real broker and a real Postgres, for the tests that need both."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import counter_service as counter
import pytest_asyncio

from contracts import topics
from runtime import admin, migrate
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.servers import Servers

NOTES = """
CREATE TABLE notes (project_id text, name text);
CREATE TABLE counters (project_id text, name text, total bigint, doc jsonb,
                       PRIMARY KEY (project_id, name));
"""


@pytest_asyncio.fixture
async def kafka_settings(leased_settings: Settings, servers: Servers) -> Settings:
    settings = leased_settings.model_copy(
        update={
            "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
            "topic_prefix": f"t{secrets.token_hex(4)}.",
        }
    )
    administrator = await asyncpg.connect(settings.database_url)
    for name in ("catalog", "gateway"):
        await migrate.create_role_and_schema(administrator, settings, name)
    await administrator.close()
    await admin.create_topics(settings, list(topics.ALL))
    return settings


@pytest_asyncio.fixture
async def gateway(kafka_settings: Settings) -> AsyncIterator[Service]:
    service = Service("gateway", kafka_settings, with_rpc=True)
    await admin.migrate_service(service)
    await service.start()
    yield service
    await service.stop()


@pytest_asyncio.fixture
async def catalog(kafka_settings: Settings) -> AsyncIterator[Service]:
    service = counter.build(kafka_settings)
    await admin.migrate_service(service)
    connection = await admin.connect(kafka_settings, "catalog")
    await connection.execute(NOTES)
    await connection.close()
    await service.start()
    yield service
    await service.stop()
