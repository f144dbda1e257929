"""Services on a real broker and a real Postgres, for the tests that need both."""

from collections.abc import AsyncIterator

import counter_service as counter
import pytest_asyncio

from contracts import topics
from runtime import admin
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.fixtures import create_schemas

NOTES = """
CREATE TABLE notes (project_id text, name text);
CREATE TABLE counters (project_id text, name text, total bigint, doc jsonb,
                       PRIMARY KEY (project_id, name));
"""


@pytest_asyncio.fixture
async def kafka_settings(leased_kafka_settings: Settings) -> Settings:
    settings = leased_kafka_settings
    await create_schemas(settings, "catalog", "gateway")
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
